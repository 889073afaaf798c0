//! Who asks, as the signature says.

use model::{Instance, Line, Region, User};
use store::Snapshot;

/// Who asks, as the signature says.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The account.
    pub(crate) account_id: model::AccountId,
    /// The ARN, such as `arn:aws:iam::123456789012:user/admin`.
    pub(crate) arn: String,
    /// The unique id, such as `AIDACKCEVSQ6C2EXAMPLE`.
    pub(crate) user_id: String,
}

impl Caller {
    /// A user, in the partition of a region.
    pub(crate) fn of_user(user: &User, region: &Region) -> Self {
        let (account_id, partition) = (user.account_id, region.partition());
        let arn = user.arn(partition);
        Self { account_id, user_id: user.unique_id().to_string(), arn }
    }

    /// The administrator, whom whoever may use the admin socket is; none before the first start.
    pub(crate) fn operator(snapshot: &Snapshot) -> Option<Self> {
        let user = snapshot.administrator()?.user();
        Some(Self::of_user(&user, &Instance::default_instance().region))
    }

    /// The ARN as it is kept with what the caller makes.
    pub(crate) fn line(&self) -> Line {
        #[expect(clippy::expect_used, reason = "made of words that are lines")]
        self.arn.parse().expect("is a line")
    }
}
