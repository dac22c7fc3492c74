//! A recording holds what a source sent and none of its secrets, and replays it.

use car_testkit::{HttpProxy, Recording, Replay, TestFolder, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const ANSWER: &str = "{\"access_token\": \"t0ken-value\", \"next\": \"http://HOST/b?api_key=k3y-value&page=2\", \
     \"items\": [{\"name\": \"pass:w\u{f6}rd\", \"next_page_token\": \"p2\"}]}";

/// A source that puts secrets everywhere.
async fn careless() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut request).await {
                    let text = String::from_utf8_lossy(&request[..read]).into_owned();
                    let host = text
                        .lines()
                        .find_map(|line| line.strip_prefix("host: "))
                        .unwrap();
                    let body = ANSWER.replace("HOST", host);
                    let length = body.len();
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nSet-Cookie: id=c00kie-value\r\n\
                         X-Auth-Token: t0ken-value\r\nX-Kept: yes\r\n\
                         Link: <http://{host}/a?api_key=k3y-value&after=7>; rel=\"next\"\r\n\r\n{body}"
                    );
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

async fn ask(address: &str) -> (reqwest::header::HeaderMap, String) {
    let http = car_core::http::client_builder().build().unwrap();
    let asked = http
        .post(format!("http://{address}/a?api_key=k3y-value&page=1"))
        .basic_auth("user", Some("pass:w\u{f6}rd"))
        .header("Cookie", "id=c00kie-value")
        .body("grant_type=password&client_secret=s3cret-value&scope=all");
    let answer = within("an answer", asked.send()).await.unwrap();
    let headers = answer.headers().clone();
    assert_eq!(answer.status(), 200);
    (headers, answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_left_out_and_the_rest_is_replayed() {
    let proxy = HttpProxy::start(careless().await).await;
    ask(proxy.address()).await;
    let folder = TestFolder::new();
    let file = folder.file("recording.jsonl");
    proxy.recording().without(["pass:w\u{f6}rd"]).save(&file);
    let text = std::fs::read_to_string(&file).unwrap();
    for secret in [
        "pass:w\u{f6}rd",
        "t0ken-value",
        "k3y-value",
        "c00kie-value",
        "s3cret-value",
        proxy.address(),
        // `user:pass` in Base64, as it begins.
        "dXNlcjpwYXNz",
    ] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
    for kept in [
        "next_page_token",
        "p2",
        "scope=all",
        "page=1",
        "after=7",
        "x-kept",
    ] {
        assert!(text.contains(kept), "{kept} is not in {text}");
    }

    let replay = Replay::start(&Recording::load(&file)).await;
    let (headers, body) = ask(replay.address()).await;
    assert_eq!(replay.unknown(), [""; 0]);
    assert_eq!(headers["x-kept"], "yes");
    let host = replay.address();
    assert!(headers["link"].to_str().unwrap().contains(host));
    assert!(body.contains(&format!("http://{host}/b?")), "{body}");

    let http = car_core::http::client_builder().build().unwrap();
    let other = http.get(format!("http://{host}/other?key=hidden"));
    let answer = within("an answer", other.send()).await.unwrap();
    assert_eq!(answer.status(), 404);
    assert_eq!(replay.unknown(), ["GET /other?key=[secret]"]);
}
