"""Runs commands of the AWS CLI, each in a process of its own, without starting Python for each.

It is run with the Python of the CLI's own virtual environment. What the CLI's `aws` script does is
done here in a fork of a process that has its modules and its models loaded already: the CLI reads
its environment, its options and its credentials anew each time, but not its config file. A line of
standard input is a command as JSON, `{"argv": [...], "env": {...}}`; a line of standard output is
what came of it, `{"status": 0, "out": "...", "err": "..."}`.
"""

import json
import os
import sys
import tempfile

import awscli.clidriver

# What every command of these services reads, named as the loader of models names it.
SERVICES = ["ec2", "organizations", "sts"]
MODELS = ["service-2", "paginators-1", "waiters-2", "endpoint-rule-set-1"]


def warm(driver):
    """Loads what is the same for each command. Nothing that depends on the environment is among it."""
    loader = driver.session.get_component("data_loader")
    for model in MODELS:
        for service in set(SERVICES).intersection(loader.list_available_services(model)):
            loader.load_service_model(service, model)
    for data in ("endpoints", "partitions", "sdk-default-configuration", "_retry"):
        loader.load_data(data)


def play(driver, command, out, err):
    """The life of one command, in the process that is its own."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    os.environ.clear()
    os.environ.update(command["env"])
    sys.argv = ["aws", *command["argv"]]
    status = 1
    try:
        status = driver.main(command["argv"])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status or 0)


def main():
    driver = awscli.clidriver.create_clidriver()
    warm(driver)
    for line in sys.stdin:
        command = json.loads(line)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = os.fork()
            if child == 0:
                play(driver, command, out, err)
            _, ended = os.waitpid(child, 0)
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode(errors="replace"))
        answer = {"status": os.waitstatus_to_exitcode(ended), "out": texts[0], "err": texts[1]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
