//! Each deed of the proxy does what it says, to the request that a rule names.

use std::time::Duration;

use car_testkit::{At, Deed, HttpProxy, ReferenceSource, within};

/// A source with a proxy before it.
struct Pair {
    source: ReferenceSource,
    proxy: HttpProxy,
    http: reqwest::Client,
}

impl Pair {
    async fn start() -> Self {
        let source = ReferenceSource::start(2).await;
        let proxy = HttpProxy::start(source.url().replace("http://", "")).await;
        let http = car_core::http::client_builder()
            // Connections that are kept are cut when rules are cleared.
            .pool_max_idle_per_host(0)
            .build()
            .unwrap();
        Self {
            source,
            proxy,
            http,
        }
    }

    /// Asks for something through the proxy.
    async fn get(&self, path: &str) -> reqwest::Result<(u16, String)> {
        let response = self
            .http
            .get(format!("http://{}{path}", self.proxy.address()))
            .basic_auth(
                ReferenceSource::username(),
                Some(ReferenceSource::password()),
            )
            .send()
            .await?;
        let status = response.status().as_u16();
        Ok((status, response.text().await?))
    }

    /// Makes the deed and asks for the sites.
    async fn sites(&self, deed: Deed) -> reqwest::Result<(u16, String)> {
        self.proxy.clear();
        self.proxy.on(At::All, deed);
        within("an answer", self.get("/sites/")).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deeds_change_the_answer() {
    let pair = Pair::start().await;
    let (status, whole) = pair.sites(Deed::Pass).await.unwrap();
    assert_eq!(status, 200);
    let site = pair.source.all("sites").await[0]["name"].to_string();
    assert!(whole.contains(&site), "{whole}");

    assert_eq!(pair.sites(Deed::Answer(403)).await.unwrap().0, 403);
    assert_eq!(pair.sites(Deed::RetryAfter(429, 7)).await.unwrap().0, 429);
    let text = Deed::Text("hello".to_owned());
    assert_eq!(pair.sites(text).await.unwrap(), (200, "hello".to_owned()));
    let half = whole[..whole.len() / 2].to_owned();
    assert_eq!(pair.sites(Deed::Halve).await.unwrap(), (200, half));
    for slow in [
        Deed::Delay(Duration::from_millis(1)),
        Deed::Drip(100, Duration::from_millis(1)),
        Deed::Twice,
        // Nobody comes after it.
        Deed::AfterAnother,
    ] {
        let answer = pair.sites(slow.clone()).await.unwrap();
        assert_eq!(answer, (200, whole.clone()), "{slow:?}");
    }
    for broken in [Deed::Truncate, Deed::Reset, Deed::AnswerLost] {
        let answer = pair.sites(broken.clone()).await;
        assert!(answer.is_err(), "{broken:?}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_name_requests() {
    let pair = Pair::start().await;
    let statuses = async |paths: &[&str]| {
        let mut statuses = Vec::new();
        for path in paths {
            statuses.push(pair.get(path).await.unwrap().0);
        }
        statuses
    };
    let paths = ["/sites/", "/ports/", "/sites/", "/ports/"];
    for (at, expected) in [
        (At::Nth(2), [200, 403, 200, 200]),
        (At::From(3), [200, 200, 403, 403]),
        (At::EverySecond, [403, 200, 403, 200]),
        (At::With("GET /ports".to_owned()), [200, 403, 200, 403]),
        (At::First, [403, 403, 200, 200]),
    ] {
        pair.proxy.clear();
        pair.proxy.on(at.clone(), Deed::Answer(403));
        assert_eq!(statuses(&paths).await, expected, "{at:?}");
        assert_eq!(pair.proxy.requests().len(), 4);
        assert_eq!(pair.proxy.requests()[1], "GET /ports/");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_overtake_each_other_and_are_held() {
    let pair = Pair::start().await;
    pair.proxy.on(At::Nth(1), Deed::AfterAnother);
    let both = async { tokio::join!(pair.get("/sites/"), pair.get("/ports/")) };
    let (sites, ports) = within("both answers", both).await;
    assert_eq!((sites.unwrap().0, ports.unwrap().0), (200, 200));

    pair.proxy.clear();
    let before = pair.get("/assets/?limit=1").await.unwrap();
    pair.proxy.on(At::Nth(2), Deed::LastAnswer);
    let again = pair.get("/assets/?limit=1&after=1").await.unwrap();
    assert_eq!(again, before);

    pair.proxy.clear();
    pair.proxy.on(At::All, Deed::Hold);
    let cut = async {
        pair.proxy.held().await;
        pair.proxy.clear();
    };
    let (answer, ()) = tokio::join!(pair.get("/sites/"), cut);
    assert!(answer.is_err(), "{answer:?}");
    assert_eq!(pair.get("/sites/").await.unwrap().0, 200);
}
