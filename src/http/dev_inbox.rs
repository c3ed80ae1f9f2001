//! `/dev/inbox`: the mails that were captured instead of sent, as a page for people and as JSON for scripts.
//!
//! It shows numbers, so it answers this machine only: the peer and the host that the client named must be loopback (a
//! page of another site cannot name it), and nothing may have forwarded the request. To everyone else these paths are
//! as unknown as any other.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
};
use minijinja::{Environment, context, value::Serde};
use serde::Serialize;
use uuid::Uuid;
use warp::{Filter, Rejection, filters::BoxedFilter, host::Authority, reply::Response};

use super::{
    problem::{Code, Problem},
    reply::{Rfc3339, json},
    routes::{Api, Around, Call, answer, call},
};
use crate::{
    messages::{CapturedMail, ReadInbox},
    supervision::Ask,
};

/// A name that ends in `.html` has minijinja escape what is put in.
const PAGE_NAME: &str = "dev_inbox.html";
const PAGE: &str = include_str!("dev_inbox.html");
/// How many mails the page shows.
const SHOWN: usize = 50;
const LONGEST_WAIT_SECONDS: u64 = 30;

pub(super) fn routes(api: &Arc<Api>) -> BoxedFilter<(Response,)> {
    let api = api.clone();
    let inbox = warp::any().map(move || api.clone()).and(local_only()).and(call());
    let page = warp::path!("dev" / "inbox").and(inbox.clone()).then(answer_page);
    let messages = warp::path!("dev" / "inbox" / "messages").and(inbox).and(warp::query()).then(answer_messages);
    page.or(messages).unify().boxed()
}

async fn answer_page(api: Arc<Api>, is_local: bool, call: Call) -> Response {
    let Some(inbox) = api.asks.inbox.as_ref().filter(|_| is_local) else { return answer(Err(Problem::not_found())) };
    answer(match call.method {
        Method::GET | Method::HEAD => page(&api, inbox).await,
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}

async fn answer_messages(api: Arc<Api>, is_local: bool, call: Call, query: Vec<(String, String)>) -> Response {
    let Some(inbox) = api.asks.inbox.as_ref().filter(|_| is_local) else { return answer(Err(Problem::not_found())) };
    answer(match call.method {
        Method::GET | Method::HEAD => messages(&api, inbox, &query).await,
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}

async fn messages(api: &Api, inbox: &Ask<ReadInbox>, query: &[(String, String)]) -> Result<Response, Problem> {
    let parameter = |name| query.iter().find(|(present, _)| present == name).map(|(_, value)| value.as_str());
    // An address has no spaces: where one stands, a plus was sent unescaped.
    let to = parameter("to").map(|address| address.replace(' ', "+"));
    let wait_seconds = parameter("wait_seconds").map_or(Ok(0), wait_seconds)?;
    let mails = read(api, inbox, ReadInbox { to, wait_seconds }).await?;
    let bodies: Vec<MailBody<'_>> = mails.iter().map(MailBody::from).collect();
    Ok(json(StatusCode::OK, &bodies))
}

fn wait_seconds(text: &str) -> Result<u64, Problem> {
    text.parse().ok().filter(|seconds| *seconds <= LONGEST_WAIT_SECONDS).ok_or_else(|| {
        let detail = format!("wait_seconds must be 0 to {LONGEST_WAIT_SECONDS}");
        Problem::new(Code::FieldInvalid, detail).with("field", "wait_seconds")
    })
}

async fn read(api: &Api, inbox: &Ask<ReadInbox>, what: ReadInbox) -> Result<Vec<CapturedMail>, Problem> {
    let patience = api.limits.ask_time + Duration::from_secs(what.wait_seconds);
    Ok(inbox.ask(what, patience).await?)
}

#[derive(Serialize)]
struct MailBody<'a> {
    id: &'a str,
    to: &'a str,
    subject: &'a str,
    text: &'a str,
    html: &'a str,
    received_at: Rfc3339,
}

impl<'a> From<&'a CapturedMail> for MailBody<'a> {
    fn from(mail: &'a CapturedMail) -> Self {
        Self {
            id: &mail.id,
            to: &mail.to,
            subject: &mail.subject,
            text: &mail.text,
            html: &mail.html,
            received_at: Rfc3339(mail.received_at),
        }
    }
}

#[derive(Serialize)]
struct ShownMail<'a> {
    number: Option<&'a str>,
    #[serde(flatten)]
    mail: MailBody<'a>,
}

async fn page(api: &Api, inbox: &Ask<ReadInbox>) -> Result<Response, Problem> {
    let mails = read(api, inbox, ReadInbox { to: None, wait_seconds: 0 }).await?;
    let shown = mails.iter().take(SHOWN).map(|mail| ShownMail { number: number_in(&mail.text), mail: mail.into() });
    let shown: Vec<ShownMail<'_>> = shown.collect();
    let nonce = Uuid::new_v4().simple().to_string();
    let html = Environment::new()
        .render_named_str(PAGE_NAME, PAGE, context! { mails => Serde(shown), nonce => nonce.as_str() })
        .expect("a test renders the template with all that it names");
    let mut response = Response::new(html.into());
    protect(response.headers_mut(), &nonce);
    Ok(response)
}

/// No script but the page's own, nothing from elsewhere, in nobody's frame. The mails' HTML inherits this in its sandboxed
/// frame, and mails style inline.
fn protect(headers: &mut HeaderMap, nonce: &str) {
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let policy = HeaderValue::from_str(&policy).expect("a nonce is hexadecimal");
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

/// The number of a mail stands alone on a line of its text.
fn number_in(text: &str) -> Option<&str> {
    let is_number = |line: &&str| (6..=15).contains(&line.len()) && line.bytes().all(|b| b.is_ascii_digit());
    text.lines().map(str::trim).find(is_number)
}

/// Whether the request comes from this machine and means it.
fn local_only() -> impl Filter<Extract = (bool,), Error = Rejection> + Clone {
    warp::ext::get()
        .map(|around: Around| is_loopback(around.peer.connection) && means_loopback(&around) && came_straight(&around.headers))
}

/// Its target and its `Host` say whom it means; one of them has to, and neither may mean another.
fn means_loopback(around: &Around) -> bool {
    let host = around.headers.get(HOST).map(|host| Authority::try_from(host.as_bytes()).ok());
    let mut named = around.authority.clone().map(Some).into_iter().chain(host).peekable();
    named.peek().is_some() && named.all(|host| host.as_ref().is_some_and(names_loopback))
}

fn is_loopback(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

fn names_loopback(host: &Authority) -> bool {
    let is_bare = !host.as_str().contains('@');
    is_bare && ["localhost", "127.0.0.1", "[::1]"].iter().any(|name| host.host().eq_ignore_ascii_case(name))
}

fn came_straight(headers: &HeaderMap) -> bool {
    let hosts = headers.get_all(HOST).iter().count();
    hosts <= 1 && !headers.keys().any(tells_of_a_proxy)
}

fn tells_of_a_proxy(name: &HeaderName) -> bool {
    let name = name.as_str();
    ["forwarded", "via", "x-real-ip"].contains(&name) || name.starts_with("x-forwarded-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_the_one_alone_on_its_line() {
        assert_eq!(number_in("Your code for Shop 2000000:\r\n\r\n  01234567\r\n\r\nIt holds 10 minutes."), Some("01234567"));
        assert_eq!(number_in("no number, but 1234567 in a line\n12345\n"), None);
    }

    #[test]
    fn only_loopback_peers_and_names_are_local() {
        for (peer, is_local) in [("127.9.9.9:1", true), ("[::1]:1", true), ("[::ffff:127.0.0.1]:1", true), ("10.0.0.1:1", false)]
        {
            assert_eq!(is_loopback(peer.parse().unwrap()), is_local, "{peer}");
        }
        for (host, is_local) in [
            ("localhost:8420", true),
            ("LOCALHOST", true),
            ("127.0.0.1", true),
            ("[::1]:80", true),
            ("localhost.evil.example", false),
            ("127.0.0.1.nip.io", false),
            ("evil@localhost", false),
        ] {
            assert_eq!(names_loopback(&host.parse().unwrap()), is_local, "{host}");
        }
    }
}
