//! One certificate from an ACME server: the account, the order, its challenges, the certificate (RFC 8555 §7).

use std::io;
use std::time::Duration;

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, ExternalAccountKey,
    Identifier, Key, NewAccount, NewOrder, Order, OrderStatus, Problem, RenewalInfo, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::answers::{Answer, Answers};
use super::http::Way;
use super::store::Store;
use super::{AcmeConfig, ExternalAccount};

/// How often the server is asked what has become of an order, where it does not say: after a quarter of a second, then half as
/// long again each time, for three minutes. Validation is a matter of seconds.
const POLLS: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_secs(180));
/// The account is gone from the server's memory (RFC 8555 §6.7).
const NO_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum IssueError {
    /// The server refuses, or cannot be asked.
    #[error("{0}")]
    Acme(#[from] Error),
    /// The server could not see that a name is ours.
    #[error("{name} was not validated: {why}")]
    Name {
        /// The name.
        name: String,
        /// What the server says.
        why: String,
    },
    /// Nothing can be kept.
    #[error("{0}")]
    Store(#[from] io::Error),
    /// Names, key or what came are no good.
    #[error("the certificate cannot be used: {0}")]
    Unusable(String),
    /// It takes too long.
    #[error("it took more than {} minutes", .0.as_secs() / 60)]
    TimedOut(Duration),
}

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Issuer {
    pub(super) directory: String,
    pub(super) contact: Vec<String>,
    pub(super) external_account: Option<ExternalAccount>,
    pub(super) way: Way,
    pub(super) store: Store,
    pub(super) answers: Answers,
}

/// The account as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    contact: Vec<String>,
    credentials: AccountCredentials,
}

/// Parts of an account before it is one.
type Parts = (Account, AccountCredentials);

impl Issuer {
    pub(super) fn new(config: &AcmeConfig, way: Way, store: Store, answers: Answers) -> Self {
        let AcmeConfig { directory, contact, external_account, .. } = config.clone();
        Self { directory, contact, external_account, way, store, answers }
    }

    /// A certificate for these names in the place of an old one, with its key, if it is given: the certificate, those between
    /// it and the root, and the key.
    pub(super) async fn issue(
        &self,
        names: &[String],
        replaces: Option<CertificateIdentifier<'static>>,
        key: Option<KeyPair>,
    ) -> Result<String, IssueError> {
        let account = self.account().await?;
        let identifiers: Vec<_> = names.iter().cloned().map(Identifier::Dns).collect();
        let mut new = NewOrder::new(&identifiers);
        if let Some(old) = replaces {
            new = new.replaces(old);
        }
        let mut order = match account.new_order(&new).await {
            Err(error) if is_no_account(&error) => self.register_again().await?.new_order(&new).await?,
            order => order?,
        };
        // They are answered until the order is through.
        let _answers = self.answer(&mut order).await?;
        match order.poll_ready(&POLLS).await {
            Ok(OrderStatus::Ready) => {}
            ended => return Err(refused(&mut order, ended.err()).await),
        }
        let (request, key) = request(names, key).map_err(|error| IssueError::Unusable(error.to_string()))?;
        order.finalize_csr(&request).await?;
        let chain = order.poll_certificate(&POLLS).await?;
        Ok(format!("{}\n{}", chain.trim_end(), key.serialize_pem()))
    }

    /// What the server suggests for the renewal of a certificate, and when it wants to be asked again (RFC 9773).
    pub(super) async fn window(&self, of: &CertificateIdentifier<'_>) -> Result<(RenewalInfo, Duration), IssueError> {
        Ok(self.account().await?.renewal_info(of).await?)
    }

    /// Sets about the challenges of all names that are not known to be ours.
    async fn answer(&self, order: &mut Order) -> Result<Vec<Answer>, IssueError> {
        let mut given = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            let name = authorization.identifier().to_string();
            match authorization.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                status => return Err(IssueError::Name { name, why: format!("the authorization is {status:?}") }),
            }
            let Some(mut challenge) = authorization.challenge(ChallengeType::Http01) else {
                return Err(IssueError::Name { name, why: "the server offers no challenge of type http-01".into() });
            };
            given.push(self.answers.give(&challenge.token, challenge.key_authorization().as_str()));
            challenge.set_ready().await?;
        }
        Ok(given)
    }

    /// The account that is kept, or a new one.
    async fn account(&self) -> Result<Account, IssueError> {
        let Some(mut kept) = self.kept().await? else {
            let contact: Vec<_> = self.contact.iter().map(String::as_str).collect();
            let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
            let (way, bound) = (Box::new(self.way.clone()), self.bound()?);
            let made = Account::builder_with_http(way).create(&new, self.directory.clone(), bound.as_ref()).await?;
            tracing::info!(target: "wasmail::acme", directory = self.directory, "made an account");
            return self.keep(made).await;
        };
        let contact = std::mem::take(&mut kept.contact);
        let account = Account::builder_with_http(Box::new(self.way.clone())).from_credentials(kept.credentials).await?;
        if contact == self.contact {
            return Ok(account);
        }
        match self.update_contact(&account).await {
            Err(error) if is_no_account(&error) => return self.register_again().await,
            updated => updated?,
        }
        let credentials = self.kept().await?.ok_or_else(gone)?.credentials;
        self.keep((account, credentials)).await
    }

    /// What binds a new account to another one.
    fn bound(&self) -> Result<Option<ExternalAccountKey>, IssueError> {
        let Some(ExternalAccount { id, key }) = &self.external_account else { return Ok(None) };
        let key = key.as_str().trim_end_matches('=').as_bytes();
        let key = data_encoding::BASE64URL_NOPAD.decode(key);
        let key = key.map_err(|_| io::Error::other("the key of the external account is not base64url"))?;
        Ok(Some(ExternalAccountKey::new(id.clone(), &key)))
    }

    /// An account by the key that is kept, on a server that has forgotten it.
    async fn register_again(&self) -> Result<Account, IssueError> {
        let credentials = self.kept().await?.ok_or_else(gone)?.credentials;
        let key = credentials.private_key().clone_key();
        let pair = (Key::from_pkcs8_der(key.clone_key())?, PrivateKeyDer::Pkcs8(key));
        let way = Box::new(self.way.clone());
        let made = Account::builder_with_http(way).create_from_key(pair, self.directory.clone()).await?;
        tracing::warn!(target: "wasmail::acme", directory = self.directory, "the account was made again: it was not known");
        self.update_contact(&made.0).await?;
        self.keep(made).await
    }

    async fn update_contact(&self, account: &Account) -> Result<(), Error> {
        let contact: Vec<_> = self.contact.iter().map(String::as_str).collect();
        account.update_contacts(&contact).await
    }

    async fn kept(&self) -> Result<Option<Kept>, IssueError> {
        let store = self.store.clone();
        let text = spawn_blocking(move || store.account()).await.map_err(io::Error::other)??;
        let broken = |error| io::Error::other(format!("the account that is kept is none: {error}"));
        Ok(text.map(|text| serde_json::from_str(&text)).transpose().map_err(broken)?)
    }

    async fn keep(&self, (account, credentials): Parts) -> Result<Account, IssueError> {
        let kept = Kept { contact: self.contact.clone(), credentials };
        let text = serde_json::to_string(&kept).map_err(io::Error::other)?;
        let store = self.store.clone();
        spawn_blocking(move || store.keep_account(&text)).await.map_err(io::Error::other)??;
        Ok(account)
    }
}

/// A request for a certificate (PKCS #10), and the key that it is for: a new one, of ECDSA with P-256, if none is given.
fn request(names: &[String], key: Option<KeyPair>) -> Result<(Vec<u8>, KeyPair), rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    // The names are all that an ACME server asks for.
    params.distinguished_name = DistinguishedName::new();
    let key = key.map_or_else(KeyPair::generate, Ok)?;
    let request = params.serialize_request(&key)?.der().to_vec();
    Ok((request, key))
}

fn gone() -> io::Error {
    io::Error::other("the account that was kept is gone")
}

fn is_no_account(error: &Error) -> bool {
    matches!(error, Error::Api(problem) if problem.r#type.as_deref() == Some(NO_ACCOUNT))
}

/// Why an order has failed. The authorizations say it best.
async fn refused(order: &mut Order, error: Option<Error>) -> IssueError {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let name = authorization.identifier().to_string();
        let Ok(state) = authorization.refresh().await else { continue };
        let problem = state.challenges.iter().find_map(|challenge| challenge.error.as_ref());
        if let Some(why) = problem.map(Problem::to_string) {
            return IssueError::Name { name, why };
        }
    }
    error.map_or_else(|| Error::Str("the order is invalid").into(), IssueError::Acme)
}
