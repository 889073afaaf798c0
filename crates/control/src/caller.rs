//! Who asks, as the signature says.

use model::{Instance, Line, Region, User, spread};
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
        let arn = format!("arn:{partition}:iam::{account_id}:user/{}", user.name);
        Self { account_id, user_id: unique_id(&arn), arn }
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

/// Makes the unique id of a user, always the same: `AIDA` and 17 letters and digits.
fn unique_id(arn: &str) -> String {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let number = u128::from(spread(arn)) << 64 | u128::from(spread(&format!("{arn}/id")));
    let digit = |place: u32| {
        let index = usize::try_from(number >> (5 * place) & 31).unwrap_or(0);
        char::from(DIGITS.get(index).copied().unwrap_or(b'A'))
    };
    "AIDA".chars().chain((0..17).map(digit)).collect()
}
