//! Notifications: those that are signed, of about now, and new.

use std::time::{SystemTime, UNIX_EPOCH};

use car_testkit::{Program, Signal, within};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;

use crate::support::{World, purchase};

const SECRET: &str = "webhook-secret";

fn watching(world: &World, address: &str) -> Program {
    world
        .program()
        .env("CONFIGURATION_AUTH_WEBHOOK_SECRET", SECRET)
        .args(&["fulfill", "--watch", "--every", "1h", "--webhook", address])
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn signature(secret: &str, time: u64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{time}.{body}").as_bytes());
    let bytes = mac.finalize().into_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={time},v1={hex}")
}

/// Returns an address that nobody listened on a moment ago.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_notification_is_taken_once_and_only_if_it_is_signed() {
    let world = World::start().await;
    let address = free_address();
    let running = watching(&world, &address).start();
    let http = car_core::http::client_builder().build().unwrap();
    let send = async |signature: &str, body: &str| {
        let call = http
            .post(format!("http://{address}/webhook"))
            .header("X-Connect-Signature", signature)
            .body(body.to_owned())
            .send();
        within("a notification", call)
            .await
            .map(|answer| answer.status().as_u16())
    };
    // It listens when it answers; nothing is pending yet, so that only a notification can do it.
    within("the connector listens", async {
        while send("", "{}").await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    let first = world.order(purchase()).await;
    let body = json!({"object": "request", "id": first}).to_string();
    let good = signature(SECRET, now(), &body);
    for (signature, body, status) in [
        ("", body.as_str(), 401),
        (signature("other", now(), &body).as_str(), &body, 401),
        (signature(SECRET, now() - 1000, &body).as_str(), &body, 401),
        (good.as_str(), "{}", 401),
        (signature(SECRET, now(), "[]").as_str(), "[]", 400),
        (good.as_str(), &body, 202),
        (good.as_str(), &body, 409),
    ] {
        assert_eq!(
            send(signature, body).await.unwrap(),
            status,
            "{signature} {body}"
        );
    }
    world.until([1; 4]).await;
    within("the request is answered", async {
        while world.status(&first).await != "approved" {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    // The same news again, signed anew: it was answered, and nothing is done twice.
    let again = signature(SECRET, now() + 1, &body);
    assert_eq!(send(&again, &body).await.unwrap(), 202);
    running.signal(Signal::Term).await;
    let ended = running.ended().await.with_code(0);
    assert!(
        ended.stdout.starts_with("approved 1, failed 0"),
        "{}",
        ended.stdout
    );
    assert_eq!(world.left().await, [1; 4]);
}
