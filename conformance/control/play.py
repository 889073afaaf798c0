"""Plays files of cases: a server for each, the AWS CLI, and requests signed here."""

import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from threading import Event, Lock

import cases
import signed

HERE = Path(__file__).resolve().parent

# What servers are started with, beside their options: roles, with what is said of them, and users
# beside the administrator.
ROLES = {"app": "", "app2": "", "short": "life_seconds = 60"}
USERS = {
    # Of another account: what it has is its own.
    "dev": {
        "account_id": "210987654321",
        "access_key_id": "AKIAI44QH8DHBEXAMPLE",
        "secret_access_key": "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY",
    },
    # With a temporary key.
    "visitor": {
        "account_id": "123456789012",
        "access_key_id": "ASIAIOSFODNN7EXAMPLE",
        "secret_access_key": "9drTJvcXLB89EXAMPLELB8923FB892xMFI",
        "session_token": "AQoXdzELDDY//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQW==",
    },
    # With one that has ended.
    "late": {
        "account_id": "123456789012",
        "access_key_id": "ASIAI44QH8DHBEXAMPLE",
        "secret_access_key": "8sFTJvcXLB89EXAMPLELB8923FB892xMFI",
        "session_token": "FwoGZXIvYXdzEXAMPLE",
        "expiration": "2020-09-26T14:28:58Z",
    },
}

COMMAND_SECONDS = 60  # one command of a case
REGION = "ap-northeast-1"  # where callers are, unless they say otherwise
POLL_SECONDS = 0.05  # between two looks at what changes by itself


def clients():
    """The runner of the metadata service's clients: it installs clients and starts servers."""
    loader = importlib.machinery.SourceFileLoader("clients", str(HERE.parent / "clients/run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("clients", loader))
    loader.exec_module(module)
    return module


CLIENTS = clients()

# Set once the run is stopped.
STOPPING = Event()


def settings():
    """The text of the config file of servers."""
    everything = 'policies = ["AdministratorAccess"]'
    roles = [
        f'[[role]]\nname = "{name}"\nsource = "built-in"\n{everything}\n{more}\n'
        for name, more in ROLES.items()
    ]
    users = []
    for name, user in USERS.items():
        # A text of JSON is one of TOML too.
        key = ", ".join(f"{word} = {json.dumps(user[word])}" for word in user if word != "account_id")
        account = user["account_id"]
        users.append(
            f'[[user]]\nname = "{name}"\naccount_id = "{account}"\naccess_keys = [{{ {key} }}]\n'
            + everything + "\n"
        )
    return "\n".join(roles + users)


# A server and who may call it ---------------------------------------------------------------------


class Site:
    """A running server, and the environment of those who call it."""

    def __init__(self, imds, scratch):
        self.imds, self.scratch = imds, Path(scratch)
        self.state = self.scratch / "state"
        config = self.scratch / "imds.toml"
        config.write_text(settings())
        self.server = CLIENTS.Server(imds, str(self.state), "--config", str(config))
        self.environment = {}
        self.users = {}

    def __enter__(self):
        self.server.__enter__()
        try:
            self.learn()
        except BaseException:
            self.server.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *fault):
        return self.server.__exit__(*fault)

    def learn(self):
        """Makes the environment of the administrator, and learns the keys of all users."""
        self.endpoint = self.server.management.rstrip("/")
        self.environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.scratch),
            "TMPDIR": str(self.scratch),
            "PYTHONDONTWRITEBYTECODE": "1",
            "IMDS_DATA_DIR": str(self.state),
            "AWS_CONFIG_FILE": str(self.scratch / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.scratch / "credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_PAGER": "",
        }
        for name in ("config", "credentials"):
            (self.scratch / name).touch()
        status, out, err = self.program(["imds", "env", "--json"], self.environment)
        if status != 0:
            raise CLIENTS.Failed(f"`imds env` ended with status {status}: {err}")
        told = json.loads(out)
        self.users[None] = (told["access_key_id"], told["secret_access_key"], None)
        for name, user in USERS.items():
            words = ("access_key_id", "secret_access_key", "session_token")
            self.users[name] = tuple(user.get(word) for word in words)
        self.environment.update(AWS_ENDPOINT_URL=self.endpoint, AWS_DEFAULT_REGION=REGION)
        self.environment.update(self.keys_of(None))

    def keys_of(self, user):
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        return {name: value for name, value in zip(names, self.users[user]) if value is not None}

    def program(self, words, environment):
        """Runs a program; `imds` is the one that is judged."""
        command = [self.imds, *words[1:]] if words[0] == "imds" else words
        done = subprocess.run(
            command, env=environment, cwd=self.scratch, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", timeout=COMMAND_SECONDS,
        )
        return done.returncode, done.stdout, done.stderr


# The AWS CLI --------------------------------------------------------------------------------------


class Cli:
    """The AWS CLI: commands one after the other, each in a process of its own."""

    def __init__(self, directory):
        python = str(directory / "venv/bin/python")
        # The CLI looks for its config file when it is loaded: there is none, and none of the caller's.
        environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        self.process = subprocess.Popen(
            [python, str(HERE / "cli.py")],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.lock = Lock()

    def run(self, argv, environment):
        with self.lock:
            self.process.stdin.write(json.dumps({"argv": argv, "env": environment}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        if not line:
            raise CLIENTS.Failed("the AWS CLI ended")
        answer = json.loads(line)
        return answer["status"], answer["out"], answer["err"]

    def end(self):
        self.process.stdin.close()
        self.process.wait(CLIENTS.STOP_SECONDS)


# Playing a case -----------------------------------------------------------------------------------


class Player:
    """Plays the cases of a file in order, at one site; what is captured stays captured."""

    def __init__(self, site, cli):
        self.site, self.cli = site, cli
        self.names = {}

    def step(self, step):
        """Does what the step says, until it is as it should be where the step says for how long."""
        if step.line.startswith("$ "):
            act = self.command(step)
        else:
            act = self.request(step)
        seconds = [cases.duration(rest).total_seconds() for word, rest in step.conditions if word == "within"]
        deadline = time.monotonic() + (seconds[0] if seconds else 0)
        while True:
            answer, check = act()
            try:
                check()
                return
            except cases.Wrong as wrong:
                if time.monotonic() >= deadline:
                    raise cases.Wrong(f"{wrong}\n{answer}") from wrong
            time.sleep(POLL_SECONDS)

    def command(self, step):
        environment = dict(self.site.environment)
        for word, rest in step.conditions:
            if word == "with":
                name, _, value = rest.partition("=")
                environment[name] = cases.filled(value, self.names)
            elif word == "without":
                del environment[rest]
            elif word == "as":
                environment.update(self.site.keys_of(rest))
            elif word != "within":
                raise cases.Unreadable(f"{step.where}: no condition of a command: `{word}`")
        words = cases.words_of(step.line[2:], self.names)

        def act():
            if words[0] == "aws":
                status, out, err = self.cli.run(words[1:], environment)
            else:
                status, out, err = self.site.program(words, environment)
            return f"status {status}\n{out}{err}", lambda: self.check_command(step, status, out, err)

        return act

    def check_command(self, step, status, out, err):
        if status != step.status:
            raise cases.Wrong(f"expected status {step.status}, saw {status}")
        texts = [rest for word, rest in step.expectations if word == "text"]
        if texts:
            cases.check_lines(texts, out, self.names)
        said = False
        for word, rest in step.expectations:
            if word == "json":
                cases.check_document(rest, parsed(out), self.names)
            elif word == "error":
                cases.match_text(f"\n{rest}\n", err, self.names, "standard error")
                said = True
            elif word == "usage":
                if rest not in err:
                    raise cases.Wrong(f"expected {rest!r} in {err!r}")
                said = True
            elif word == "nothing":
                if out:
                    raise cases.Wrong(f"expected nothing, saw {out!r}")
            elif word != "text":
                raise cases.Unreadable(f"{step.where}: no expectation of a command: `{word}`")
        if err and not said:
            raise cases.Wrong(f"expected nothing on standard error, saw {err!r}")

    def request(self, step):
        method, _, form = step.line.partition(" ")
        if method not in ("GET", "POST"):
            raise cases.Unreadable(f"{step.where}: neither a command nor a request")
        request = signed.Request(method, cases.filled(form, self.names), REGION)
        key_id, secret, token = self.site.users[None]
        for word, rest in step.conditions:
            if word == "as":
                key_id, secret, token = self.site.users[rest]
            elif word == "key":
                key_id = rest
            elif word == "secret":
                secret = rest
            elif word == "token":
                token = None if rest == "none" else rest
            elif word in ("region", "service", "host"):
                setattr(request, word, rest)
            elif word == "at":
                request.after = cases.duration(rest)
            elif word == "presigned":
                request.presigned = cases.duration(rest).total_seconds()
            elif word == "changed":
                request.changed = True
            elif word == "unsigned":
                request.is_signed = False
            elif word in ("signed-header", "header"):
                name, _, value = rest.partition(": ")
                (request.headers if word == "signed-header" else request.unsigned)[name.lower()] = value
            elif word != "within":
                raise cases.Unreadable(f"{step.where}: no condition of a request: `{word}`")
        if request.presigned is not None:
            request.presigned = int(request.presigned)

        def act():
            status, headers, body = request.send(self.site.endpoint, key_id, secret, token)
            return f"status {status}\n{body}", lambda: self.check_answer(step, status, headers, body)

        return act

    def check_answer(self, step, status, headers, body):
        if status != step.status:
            raise cases.Wrong(f"expected status {step.status}, saw {status}")
        lower = {name.lower(): value for name, value in headers.items()}
        for word, rest in step.expectations:
            if word == "xml":
                cases.check_document(rest, cases.xml_tree(body), self.names)
            elif word == "json":
                cases.check_document(rest, parsed(body), self.names)
            elif word == "header":
                name, _, pattern = rest.partition(": ")
                if name.lower() not in lower:
                    raise cases.Wrong(f"no header {name}; there are {sorted(lower)}")
                cases.match_text(pattern, lower[name.lower()], self.names, name)
            else:
                raise cases.Unreadable(f"{step.where}: no expectation of an answer: `{word}`")


def parsed(text):
    try:
        return json.loads(text)
    except ValueError as fault:
        raise cases.Wrong(f"no JSON: {fault}: {text!r}") from fault


def play_file(file, imds, cli):
    """Plays a file of cases at a site of its own. Returns how many there were, and what failed."""
    read = cases.read(file)
    failures = []
    with tempfile.TemporaryDirectory(prefix="imds-control-") as scratch, Site(imds, scratch) as site:
        player = Player(site, cli)
        for case in read:
            if STOPPING.is_set():
                raise CLIENTS.Failed("stopped")
            try:
                for step in case.steps:
                    at = step
                    player.step(step)
            except (cases.Wrong, cases.Unreadable, OSError, subprocess.TimeoutExpired) as wrong:
                failures.append(f"{at.where}: {case.name}\n  {at.line}\n  {wrong}")
        if failures:
            failures.append(site.server.tail())
    return len(read), failures
