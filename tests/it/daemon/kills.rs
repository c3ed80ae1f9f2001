//! `kill -9` at each fail point: the daemon dies there by itself, is started again, and every promise holds.

use std::collections::BTreeSet;

use crate::kit::fail_points::fail_points;

mod deeds;
mod promises;
mod scene;
mod users;

/// Makes a test of each: what is done when the daemon dies, on which store, and where; with `: 2`, when it comes there for the
/// second time. The point `smtp.dot.before` is written `smtp_dot_before`.
macro_rules! kills {
    ($($store:ident { $($deed:ident { $($point:ident $(: $time:literal)?,)+ })+ })+) => {
        $(mod $store {
            $(mod $deed {
                use crate::daemon::kills::{deeds, scene::Scene};

                $(#[tokio::test]
                async fn $point() {
                    let place = concat!(stringify!($point) $(, ":", $time)?);
                    deeds::$deed(Scene::$store().await, &place.replace('_', ".")).await;
                })+
            })+
        })+

        const TABLE: &[&str] = &[$($($(stringify!($point),)+)+)+];
    };
}

kills! {
    embedded {
        first_start { ring_made, ring_claimed, }
        start {
            http_request_before, http_reply_before, http_connection_ended,
            gateway_ask, cell_ends,
            embedded_commit_before, embedded_commit_after,
            gateway_handover_before, gateway_handover_after,
        }
        // first the start is committed, then what became of its mail; the first connection only looks for the server
        mail {
            mailer_try_before,
            smtp_connect_before: 2, smtp_connect_after: 2, smtp_starttls_after: 2, smtp_tls_after: 2,
            smtp_ehlo_after: 2, smtp_auth_after: 2,
            smtp_mail_before, smtp_mail_after, smtp_rcpt_after, smtp_data_after, smtp_dot_before, smtp_dot_after,
            mailer_settle_before, embedded_commit_before: 2, embedded_commit_after: 2, mailer_settle_after,
        }
        mail_again_and_again { smtp_dot_after, mailer_settle_before, }
        claim { mailer_claim_before, embedded_commit_before, embedded_commit_after, mailer_claim_after, smtp_dot_after, }
        start_of_an_ip { embedded_commit_before, embedded_commit_after, gateway_charge_after, }
        right_check { http_request_before, embedded_commit_before, embedded_commit_after, http_reply_before, http_connection_ended, }
        wrong_check { http_request_before, embedded_commit_before, embedded_commit_after, http_reply_before, http_connection_ended, }
        resend { embedded_commit_before, embedded_commit_after, gateway_handover_before, smtp_dot_after, http_reply_before, }
        cancel { embedded_commit_before, embedded_commit_after, http_reply_before, http_connection_ended, }
        sign_up { embedded_commit_before, embedded_commit_after, gateway_handover_before, http_reply_before, }
        // first the failure is charged, then the right password gets it back
        sign_in { embedded_commit_before: 2, embedded_commit_after: 2, gateway_handover_before, http_reply_before, }
        password_change { embedded_commit_before: 2, embedded_commit_after: 2, http_reply_before, }
        forgetting { embedded_commit_before, embedded_commit_after, http_reply_before, }
        rotation { ring_written, }
        stop { daemon_drain_before, daemon_drain_after, }
    }
    redis {
        first_start { ring_made, ring_claimed, }
        start { redis_commit_before, redis_commit_after, gateway_handover_before, http_reply_before, http_connection_ended, }
        mail { smtp_dot_before, smtp_dot_after, mailer_settle_before, redis_commit_before: 2, redis_commit_after: 2, }
        mail_again_and_again { smtp_dot_after, }
        claim { mailer_claim_before, redis_commit_before, redis_commit_after, mailer_claim_after, smtp_dot_after, }
        start_of_an_ip { redis_commit_before, redis_commit_after, gateway_charge_after, }
        right_check { redis_commit_before, redis_commit_after, http_reply_before, http_connection_ended, }
        wrong_check { redis_commit_before, redis_commit_after, http_reply_before, http_connection_ended, }
        resend { redis_commit_before, redis_commit_after, gateway_handover_before, smtp_dot_after, }
        cancel { redis_commit_before, redis_commit_after, http_reply_before, }
        sign_up { redis_commit_before, redis_commit_after, gateway_handover_before, http_reply_before, }
        sign_in { redis_commit_before: 2, redis_commit_after: 2, gateway_handover_before, }
        password_change { redis_commit_before: 2, redis_commit_after: 2, http_reply_before, }
        forgetting { redis_commit_before, redis_commit_after, http_reply_before, }
        stop { daemon_drain_before, daemon_drain_after, }
    }
}

#[test]
fn every_fail_point_of_the_source_stands_in_the_table() {
    let in_table: BTreeSet<String> = TABLE.iter().map(|point| point.replace('_', ".")).collect();

    assert_eq!(in_table, fail_points());
    assert!(in_table.len() >= 20);
}
