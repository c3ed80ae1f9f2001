//! The public test kit, behind the feature `testing`: Fiador in process, with a temporary store, a mailbox that can be
//! awaited, and a clock that stands still until it is moved.

use std::{collections::BTreeMap, time::Duration};

use actix::Message;
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    app::Service,
    clock::{Clock, Hand},
    config::Config,
    domain::{
        Application, ApplicationName, Approval, EmailAddress, Limits, Locale, Lookup, OperationId, SecondStep, Token, UserView,
        VerificationId, VerificationView,
    },
    messages::{
        CancelVerification, CapturedMail, CheckNumber, CreateUser, Failure, ReadInbox, ReadVerification, ResendVerification,
        SignIn, SignInAnswer, SignInByNumber, StartVerification,
    },
    supervision::{Ask, AskError},
};

/// Longer than any test may wait for an answer.
const DEADLINE: Duration = Duration::from_secs(10);
const INBOX_WAIT_SECONDS: u64 = 5;

/// Fiador on the embedded store in a temporary directory, with the application `test` and the dev inbox. It ends with
/// the test.
pub struct TestService {
    service: Service,
    application: ApplicationName,
    hand: Hand,
    _directory: TempDir,
}

impl TestService {
    /// Starts it on the current arbiter: wants a running actix `System`, as `#[actix::test]` makes one.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// The same, with its application changed.
    pub async fn start_with(change: impl FnOnce(&mut Application)) -> Self {
        let directory = tempfile::tempdir().expect("there is a place for temporary files");
        let (clock, hand) = Clock::manual();
        let mut application = application();
        change(&mut application);
        let name = application.name.clone();
        let data_dir = directory.path().to_owned();
        let config = Config { data_dir, applications: vec![application], demo_sender: None, ..Config::default() };
        let service = Service::start(&config, clock).await.expect("an empty directory is all it needs");
        Self { service, application: name, hand, _directory: directory }
    }

    /// Starts a verification of `email`, with `token` deposited.
    ///
    /// # Errors
    /// As [`StartVerification`].
    pub async fn start_verification(&self, email: &str, token: &str) -> Result<VerificationView, Failure> {
        let start = StartVerification { token: Some(Token::Text(token.to_owned())), ..self.starting(email) };
        answer(&self.service.asks(), start).await
    }

    /// A start of a verification of `email` and nothing else, under a new operation, to be changed and sent by [`Self::service`].
    pub fn starting(&self, email: &str) -> StartVerification {
        StartVerification::new(self.application.clone(), email.to_owned(), new_operation())
    }

    /// The number in the newest mail to `email`; waits for one at most five seconds.
    ///
    /// # Panics
    /// When no mail comes.
    pub async fn mailed_number(&self, email: &str) -> String {
        let mails = self.mails(email).await;
        let newest = mails.first().expect("a mail came within five seconds");
        number_in(&newest.text).expect("a mail has its number alone on a line")
    }

    /// The mails to `email`, newest first; waits for the first at most five seconds.
    pub async fn mails(&self, email: &str) -> Vec<CapturedMail> {
        let inbox = self.service.inbox().expect("the test service has a dev inbox");
        let read = ReadInbox { to: Some(email.to_owned()), wait_seconds: INBOX_WAIT_SECONDS };
        answer(&inbox, read).await.unwrap_or_default()
    }

    /// Presents a number, as a new operation.
    ///
    /// # Errors
    /// As [`CheckNumber`].
    pub async fn check(&self, id: &VerificationId, number: &str) -> Result<Approval, Failure> {
        let (application, id, number) = (self.application.clone(), id.as_str().to_owned(), number.to_owned().into());
        answer(&self.service.asks(), CheckNumber { application, id, number, operation: new_operation() }).await
    }

    /// The verification as it stands now.
    ///
    /// # Errors
    /// As [`ReadVerification`].
    pub async fn read(&self, id: &VerificationId) -> Result<VerificationView, Failure> {
        let read = ReadVerification { application: self.application.clone(), id: id.as_str().to_owned() };
        answer(&self.service.asks(), read).await
    }

    /// Asks for its mail again, as a new operation.
    ///
    /// # Errors
    /// As [`ResendVerification`].
    pub async fn resend(&self, id: &VerificationId) -> Result<VerificationView, Failure> {
        let (application, id) = (self.application.clone(), id.as_str().to_owned());
        answer(&self.service.asks(), ResendVerification { application, id, operation: new_operation() }).await
    }

    /// Calls it off.
    ///
    /// # Errors
    /// As [`CancelVerification`].
    pub async fn cancel(&self, id: &VerificationId) -> Result<(), Failure> {
        let cancel = CancelVerification { application: self.application.clone(), id: id.as_str().to_owned() };
        answer(&self.service.asks(), cancel).await
    }

    /// Keeps a user with this password, and starts no verification of its address.
    ///
    /// # Errors
    /// As [`CreateUser`].
    pub async fn create_user(&self, email: &str, password: &str) -> Result<UserView, Failure> {
        let create = CreateUser {
            application: self.application.clone(),
            email: email.to_owned(),
            password: Some(password.to_owned().into()),
            attributes: None,
            locale: None,
            is_verified: false,
            operation: new_operation(),
        };
        answer(&self.service.asks(), create).await.map(|created| created.user)
    }

    /// Presents a password, as a new operation.
    ///
    /// # Errors
    /// As [`SignIn`].
    pub async fn sign_in(&self, email: &str, password: &str) -> Result<SignInAnswer, Failure> {
        let (email, password) = (email.to_owned(), password.to_owned().into());
        let application = self.application.clone();
        answer(&self.service.asks(), SignIn { application, email, password, context_ip: None, operation: new_operation() }).await
    }

    /// Asks for a number to sign in with, as a new operation.
    ///
    /// # Errors
    /// As [`SignInByNumber`].
    pub async fn sign_in_by_number(&self, email: &str) -> Result<VerificationView, Failure> {
        let (application, email) = (self.application.clone(), email.to_owned());
        let sign_in = SignInByNumber { application, email, context_ip: None, operation: new_operation() };
        answer(&self.service.asks(), sign_in).await
    }

    /// The application that it asks as.
    pub fn application(&self) -> &ApplicationName {
        &self.application
    }

    /// Moves time forward.
    pub fn advance(&self, span: Duration) {
        self.hand.advance(span);
    }

    /// The service, for every other message.
    pub fn service(&self) -> &Service {
        &self.service
    }
}

/// What the actor answers. One that does not answer at all is no result for a test: that panics.
async fn answer<M, T>(ask: &Ask<M>, message: M) -> Result<T, Failure>
where
    M: Message<Result = Result<T, Failure>> + Send + 'static,
    T: Send + 'static,
{
    match ask.ask(message, DEADLINE).await {
        Ok(answer) => Ok(answer),
        Err(AskError::Refused(failure)) => Err(failure),
        Err(error) => panic!("an actor did not answer: {error}"),
    }
}

fn application() -> Application {
    Application {
        name: ApplicationName::parse("test").expect("a constant name"),
        display_name: "Test".to_owned(),
        keys: Vec::new(),
        locale: Locale::EN,
        from: EmailAddress::parse("test@example.org").expect("a constant address"),
        reply_to: None,
        lookup: Lookup::Id,
        number_in_subject: false,
        second_step: SecondStep::Number,
        is_test: false,
        limits: Limits::default(),
        purposes: BTreeMap::new(),
    }
}

fn new_operation() -> OperationId {
    let random = Uuid::new_v4();
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(random.as_bytes());
    OperationId(bytes)
}

fn number_in(text: &str) -> Option<String> {
    let is_number = |line: &&str| !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit());
    text.lines().map(str::trim).find(is_number).map(str::to_owned)
}
