//! What a server tells its operator while it runs, in a line each.

use server::Notice;

use crate::command::undelivered;
use crate::fault::Fault;

/// Prints what the operator should know.
pub(crate) fn tell(notice: Notice) {
    match notice {
        Notice::AttachmentServes(instance, attachment) => {
            say!("imds: {instance} is served: {attachment}");
        }
        Notice::AttachmentWaits(instance, attachment, reason) => {
            say!("imds: {instance} is not served by {attachment}: {reason}");
        }
        Notice::Attachments { serve, wait } => say!(
            "imds: so it is with more attachments: {serve} are served now, {wait} are not. What each \
             waits for: imds instance list --json"
        ),
        Notice::HostNotRecovered(instance, reason) => {
            say!("imds: the machine of {instance} is not as it should be: {reason}");
        }
        Notice::TokenUndelivered(lost) => say!("imds: {}", undelivered::sentence(&lost)),
        Notice::CredentialsNotFetched { role, fault } => {
            say!("imds: the credentials of role `{role}` could not be fetched: {fault}");
        }
        Notice::IdentityKeys(fault) => {
            say!("imds: identity documents cannot be signed: {}", Fault::failed(&fault));
        }
        Notice::ChangeNotStored(reason) => {
            say!("imds: a change that the EC2 API was asked for was not stored: {reason}");
        }
        Notice::KeyNotRotated(reason) => {
            say!("imds: the token key was not rotated, the one in force stays: {reason}");
        }
        Notice::MachineFailed(instance, event, reason) => {
            say!("imds: the machine of {instance}, {event}: {reason}");
        }
        Notice::NotStored(reason) => {
            say!("imds: what became of instances was not stored, it is tried again: {reason}");
        }
        Notice::ThreadStuck(thread) => {
            say!(
                "imds: the thread {thread} does not answer: guests may not be served. The service \
                 manager starts the server anew if that lasts"
            );
        }
        Notice::TokenlessRefused(instance) => say!(
            "imds: {instance} asked without a session token and was answered 401, because it \
             requires one (IMDSv2). Get a token with PUT /latest/api/token, or allow IMDSv1 with: \
             imds instance options {instance} --http-tokens optional"
        ),
    }
}
