//! An account in a region, for tests of actions: requests as forms, answers as XML.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;

use model::{
    AccountId, Attachment, Generation, Instance, InstanceId, LifecycleEvent, Scope, Timestamp, User,
};
use store::{Memory, Snapshot, Store};

use super::Desk;
use crate::action::Call;
use crate::api::form::{Common, Tree};
use crate::api::route::{Arrival, Protocol, QueryErrors, Route, Service};
use crate::api::{Answer, ApiFault, Dialect, respond};
use crate::caller::Caller;
use crate::lifecycle::{Outcome, Settlement, settled};
use crate::native::{AttachmentView, Diagnosis, NoServer, Surroundings};
use crate::start::{Configured, Fresh, start};
use crate::{LaunchSettings, References};

/// When tests happen, unless they say otherwise.
pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);

/// A server that serves nobody, in a time of its own. Its drivers are quick.
pub(crate) struct Site {
    pub(crate) store: Store,
    pub(crate) settings: LaunchSettings,
    pub(crate) now: Cell<Timestamp>,
    pub(crate) scope: Scope,
    /// Whether the data plane does not confirm what it is told.
    pub(crate) holds_back: Cell<bool>,
    /// Whether drivers do not come to an end.
    pub(crate) is_slow: Cell<bool>,
    /// What the operator was told.
    pub(crate) told: RefCell<Vec<String>>,
    confirmed: Cell<Generation>,
    drawn: Cell<u128>,
}

impl Site {
    /// A site after its first start: it has a default instance with a role.
    pub(crate) fn new() -> Self {
        let store = Store::open(Box::new(Memory::default())).unwrap();
        let fresh = Fresh {
            token_key: [1; 32],
            issuer_key: [2; 32],
            access_key_id: [3; 16],
            secret_access_key: model::Secret::new("secret".to_owned()),
        };
        store.transact(|snapshot| start(snapshot, Configured::default(), fresh, NOW)).unwrap();
        Self {
            store,
            settings: LaunchSettings::default(),
            now: Cell::new(NOW),
            scope: Instance::default_instance().scope(),
            holds_back: Cell::new(false),
            is_slow: Cell::new(false),
            told: RefCell::default(),
            confirmed: Cell::new(Generation::default()),
            drawn: Cell::new(0x1000),
        }
    }

    /// Asks, with a form such as `Action=DescribeInstances&InstanceId.1=i-…`. Returns the XML.
    ///
    /// # Errors
    ///
    /// The fault that came back.
    pub(crate) fn ask(&self, form: &str) -> Result<String, ApiFault> {
        self.ask_as(self.administrator(), form)
    }

    /// Asks IAM.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`].
    pub(crate) fn ask_iam(&self, form: &str) -> Result<String, ApiFault> {
        self.ask_service(self.administrator(), Service::Iam, form)
    }

    /// Asks as another user, who may be of another account.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`].
    pub(crate) fn ask_as(&self, user: User, form: &str) -> Result<String, ApiFault> {
        self.ask_service(user, Service::Ec2, form)
    }

    /// Asks a service as a user.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`].
    pub(crate) fn ask_service(
        &self,
        user: User,
        service: Service,
        form: &str,
    ) -> Result<String, ApiFault> {
        self.ask_form(&Caller::of_user(user, &self.scope.region), service, form)
    }

    /// Asks as whoever it may be.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`].
    pub(crate) fn ask_by(&self, caller: &Caller, form: &str) -> Result<String, ApiFault> {
        self.ask_form(caller, Service::Ec2, form)
    }

    fn ask_form(&self, caller: &Caller, service: Service, form: &str) -> Result<String, ApiFault> {
        let mut parameters = Tree::parse(form.as_bytes()).unwrap();
        let common = parameters.take_common().unwrap();
        let dialect = if service == Service::Ec2 { Dialect::Ec2 } else { Dialect::Query };
        let route = Route {
            service,
            protocol: Protocol::Form(dialect),
            action: common.action.clone().unwrap(),
            query_errors: QueryErrors::Unwanted,
        };
        let arrival = Arrival { route, common, parameters, body: Vec::new() };
        let answer = self.act(caller, &arrival)?;
        let response = respond(&arrival.route, "request", Ok(answer));
        assert_eq!(response.status, 200, "an answer that cannot be written");
        Ok(String::from_utf8(response.body).unwrap())
    }

    /// Asks Organizations as a user, with the members of a JSON request.
    ///
    /// # Errors
    ///
    /// The fault that came back.
    pub(crate) fn organizations(
        &self,
        user: User,
        action: &str,
        request: &serde_json::Value,
    ) -> Result<serde_json::Value, ApiFault> {
        let route = Route {
            service: Service::Organizations,
            protocol: Protocol::Json11,
            action: action.to_owned(),
            query_errors: QueryErrors::Unwanted,
        };
        let (common, parameters) = (Common::default(), Tree::default());
        let arrival = Arrival { route, common, parameters, body: request.to_string().into() };
        let answer = self.act(&Caller::of_user(user, &self.scope.region), &arrival)?;
        let response = respond(&arrival.route, "request", Ok(answer));
        assert_eq!(response.status, 200, "an answer that cannot be written");
        Ok(serde_json::from_slice(&response.body).unwrap())
    }

    /// The administrator of the site's own account.
    pub(crate) fn administrator(&self) -> User {
        administrator_of(self.scope.account_id)
    }

    fn act(&self, caller: &Caller, arrival: &Arrival) -> Result<Answer, ApiFault> {
        let desk = Desk {
            store: &self.store,
            surroundings: self,
            caller: caller.clone(),
            scope: Scope { account_id: caller.account_id, ..self.scope.clone() },
            now: self.now.get(),
            parameters: &arrival.parameters,
            call: Call::default(),
            authorized: None,
        };
        match arrival.route.service {
            Service::Iam => crate::iam::answer(arrival, &desk),
            Service::Organizations => crate::organizations::answer(arrival, &desk),
            Service::CloudWatch | Service::Ec2 | Service::Sts => super::answer(arrival, &desk),
        }
    }

    /// Asks, and returns what stands in the elements of this name, one after the other.
    pub(crate) fn all(&self, form: &str, element: &str) -> Vec<String> {
        elements(&self.ask(form).unwrap(), element)
    }

    /// Asks for what is refused, and returns the code and the message.
    pub(crate) fn refusal(&self, form: &str) -> (String, String) {
        let fault = self.ask(form).unwrap_err();
        (fault.code.into_owned(), fault.message)
    }

    /// Launches an instance with these parameters, and returns its id.
    pub(crate) fn launch(&self, parameters: &str) -> String {
        let form = format!("Action=RunInstances&MinCount=1&MaxCount=1&{parameters}");
        self.all(&form, "instanceId").remove(0)
    }

    /// An instance as it is stored.
    pub(crate) fn stored(&self, id: &str) -> Instance {
        (**self.store.snapshot().instance(id.parse().unwrap()).unwrap()).clone()
    }

    fn drive(&self, id: InstanceId, event: LifecycleEvent) {
        let settlement = Settlement { id, event, outcome: Outcome::Done(None) };
        let plan = |snapshot: &Snapshot| -> Result<_, Infallible> {
            Ok((settled(snapshot, &[settlement], self.now.get()), ()))
        };
        self.store.transact(plan).unwrap();
        self.settles(self.store.current().generation());
    }
}

/// A user of an account who may do everything that the account may.
pub(crate) fn administrator_of(account_id: AccountId) -> User {
    let mut user = User::described(account_id, "admin".parse().unwrap());
    user.permissions.attached.extend(store::Administrator::POLICY.parse());
    user
}

/// What stands in the elements of a name, wherever they are.
pub(crate) fn elements(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let parts = xml.split(&open).skip(1);
    parts.map(|part| part.split(&close).next().unwrap().to_owned()).collect()
}

impl Surroundings for Site {
    fn endpoints(&self, _: &Instance) -> Vec<String> {
        Vec::new()
    }

    fn attached(&self, _: &Instance) -> Vec<AttachmentView> {
        Vec::new()
    }

    fn diagnosis(&self, snapshot: &Snapshot) -> Diagnosis {
        NoServer.diagnosis(snapshot)
    }

    fn try_attachment(&self, _: &Attachment) -> Result<(), String> {
        Ok(())
    }

    fn settles(&self, generation: Generation) -> bool {
        if !self.holds_back.get() {
            self.confirmed.set(generation);
        }
        !self.holds_back.get()
    }

    fn in_force(&self) -> Generation {
        self.confirmed.get()
    }

    fn fresh_number(&self) -> Result<u128, String> {
        self.drawn.set(self.drawn.get() + 1);
        Ok(self.drawn.get())
    }

    fn settles_states(&self, instances: &[InstanceId]) -> bool {
        while !self.is_slow.get() {
            let snapshot = self.store.snapshot();
            let mut due =
                instances.iter().filter_map(|id| Some((*id, snapshot.instance(*id)?.due()?)));
            let Some((id, event)) = due.next() else { return true };
            self.drive(id, event);
        }
        false
    }

    fn tell_unstored(&self, reason: &str) {
        self.told.borrow_mut().push(reason.to_owned());
    }

    fn launch_settings(&self) -> &LaunchSettings {
        &self.settings
    }

    fn default_instance(&self) -> InstanceId {
        NoServer.default_instance()
    }

    fn management_endpoint(&self) -> String {
        String::new()
    }

    fn certificates(&self) -> Option<Vec<(String, String)>> {
        None
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

/// A site that refuses what it does not know.
pub(crate) fn strict() -> Site {
    let settings = LaunchSettings { references: References::Strict, ..LaunchSettings::default() };
    Site { settings, ..Site::new() }
}
