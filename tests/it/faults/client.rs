//! Asks a daemon over HTTP, and says what the answer means.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::history::{Answer, Delivery, End, View};

/// What is asked, as HTTP has it.
pub struct Request {
    pub method: Method,
    pub url: String,
    pub api_key: String,
    pub idempotency_key: Option<String>,
    pub body: Option<Value>,
}

/// Gives up after `patience`.
pub async fn ask(client: &Client, request: Request, patience: Duration) -> Answer {
    let Request { method, url, api_key, idempotency_key, body } = request;
    let mut call = client.request(method, url).bearer_auth(api_key).timeout(patience);
    if let Some(key) = idempotency_key {
        call = call.header("Idempotency-Key", key);
    }
    if let Some(body) = body {
        call = call.json(&body);
    }
    answered(call).await
}

async fn answered(call: RequestBuilder) -> Answer {
    match call.send().await {
        Ok(response) => read(response).await,
        Err(error) if error.is_connect() => Answer::NothingDone,
        Err(error) if error.is_timeout() => Answer::Unknown("no answer in time"),
        Err(_) => Answer::Unknown("connection lost"),
    }
}

async fn read(response: Response) -> Answer {
    let status = response.status().as_u16();
    let tells_when = response.headers().contains_key("Retry-After");
    let Ok(text) = response.text().await else { return Answer::Unknown("half an answer") };
    let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    let odd = || Answer::Odd(format!("{status} {text}"));
    match (status, body["code"].as_str().unwrap_or_default()) {
        (200 | 202, _) if body.get("approved_at").is_some() && body.get("attempts_remaining").is_none() => approved(&body),
        (200 | 202, _) => view(&body).map_or_else(odd, Answer::Viewed),
        (204, _) => Answer::Canceled,
        (422, "number-incorrect") => {
            let remaining = body["attempts_remaining"].as_u64().and_then(|remaining| u8::try_from(remaining).ok());
            remaining.map_or_else(odd, |remaining| Answer::Incorrect { remaining })
        }
        (409, "already-approved") => Answer::Ended(End::Approved),
        (410, code) => end(code).map_or_else(odd, Answer::Ended),
        (404, "not-found") => Answer::NotFound,
        (404, "number-unknown") => Answer::NumberUnknown,
        (429, "budget-spent") if tells_when => Answer::Spent(text_of(&body["budget"])),
        (503, "overloaded" | "unavailable") if tells_when => {
            let is_undone = body["detail"].as_str().is_some_and(|detail| detail.starts_with("Nothing was done"));
            if is_undone { Answer::NothingDone } else { Answer::Unknown("503") }
        }
        _ => odd(),
    }
}

fn approved(body: &Value) -> Answer {
    Answer::Approved { id: text_of(&body["id"]), token: text_of(&body["token"]) }
}

fn view(body: &Value) -> Option<View> {
    let delivery = body
        .get("delivery")
        .map(|delivery| Delivery { status: text_of(&delivery["status"]), message_id: text_of(&delivery["message_id"]) });
    let status = body["status"].as_str()?;
    let expires_at = OffsetDateTime::parse(body["expires_at"].as_str()?, &Rfc3339).ok()?;
    Some(View {
        id: text_of(&body["id"]),
        end: if status == "pending" { None } else { Some(end(status)?) },
        remaining: u8::try_from(body["attempts_remaining"].as_u64()?).ok()?,
        expires_at: u64::try_from(expires_at.unix_timestamp_nanos() / 1_000_000).ok()?,
        delivery,
    })
}

fn end(word: &str) -> Option<End> {
    match word {
        "approved" => Some(End::Approved),
        "canceled" => Some(End::Canceled),
        "exhausted" => Some(End::Exhausted),
        "expired" => Some(End::Expired),
        _ => None,
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The body of a check.
pub fn number_body(number: &str) -> Value {
    json!({ "number": number })
}
