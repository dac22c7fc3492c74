//! The pages for people, as a browser meets them.

mod keys;
mod lists;
mod seen;
mod session;
mod views;

use reqwest::{Method, StatusCode};

use crate::support::{Harness, KEY, PASSWORD, encode};

/// A browser without scripts: it keeps the cookie and follows nothing by itself.
struct Browser {
    http: reqwest::Client,
    base: String,
    cookie: Option<String>,
}

struct Page {
    status: StatusCode,
    headers: reqwest::header::HeaderMap,
    html: String,
}

impl Page {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default()
    }

    #[track_caller]
    fn expect(self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.html);
        self.html
    }

    #[track_caller]
    fn leads_to(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.html);
        self.header("location")
    }
}

impl Browser {
    fn new(harness: &Harness) -> Self {
        Self {
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .timeout(std::time::Duration::from_secs(60))
                .build()
                .unwrap(),
            base: format!("http://{}", harness.server.addr()),
            cookie: None,
        }
    }

    async fn logged_in(harness: &Harness) -> Self {
        let mut browser = Self::new(harness);
        let page = browser.log_in(KEY, PASSWORD, "").await;
        assert_eq!(page.leads_to(), "/ui/");
        browser
    }

    async fn log_in(&mut self, key: &str, password: &str, next: &str) -> Page {
        let page = self
            .post(
                "/ui/login",
                &[("key", key), ("password", password), ("next", next)],
            )
            .await;
        let cookie = page.header("set-cookie");
        if let Some((pair, _)) = cookie.split_once(';') {
            self.cookie = Some(pair.to_owned());
        }
        page
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Page {
        let response = request.send().await.unwrap();
        let page = Page {
            status: response.status(),
            headers: response.headers().clone(),
            html: response.text().await.unwrap(),
        };
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert!(!page.html.contains("<script"), "{}", page.html);
        page
    }

    async fn get(&self, path: &str) -> Page {
        self.send(self.request(Method::GET, path)).await
    }

    /// Gets a page that must be there.
    async fn see(&self, path: &str) -> String {
        let page = self.get(path).await;
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(page.header("cache-control"), "no-store");
        page.expect(200)
    }

    /// Sends a form as a browser on a page of the service does.
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let request = self
            .request(Method::POST, path)
            .header("origin", &self.base)
            .header("sec-fetch-site", "same-origin");
        self.send(form(request, fields)).await
    }
}

fn form(request: reqwest::RequestBuilder, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let body: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    request
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body.join("&"))
}

/// Returns the value of a hidden field.
#[track_caller]
fn hidden(html: &str, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let (_, rest) = html.split_once(&start).expect("the page has the field");
    rest.split('"').next().unwrap().to_owned()
}

/// Returns the addresses of all links of a page, as a browser reads them.
fn links(html: &str) -> Vec<String> {
    html.split("href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().replace("&amp;", "&"))
        .filter(|address| !address.starts_with('#'))
        .collect()
}
