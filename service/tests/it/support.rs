//! A service in a temporary folder, and a client that says what it wants.

use car_service::{Options, RunningServer, Server};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const KEY: &str = "key";
pub(crate) const PASSWORD: &str = "pass word:ü";

/// Address of a PostgreSQL server; without it the tests on it are skipped and say so.
const POSTGRES: &str = "CAR_SERVICE_TEST_POSTGRES";

/// The store under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// Makes a test of each function, once per store.
macro_rules! store_suite {
    ($($name:ident,)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::support::Kind::Sqlite).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                if $crate::support::available($crate::support::Kind::Postgres) {
                    super::$name($crate::support::Kind::Postgres).await;
                }
            })*
        }
    };
}
pub(crate) use store_suite;

#[expect(
    clippy::disallowed_methods,
    reason = "tests have no settings but this one"
)]
pub(crate) fn postgres() -> Option<String> {
    std::env::var(POSTGRES).ok().filter(|url| !url.is_empty())
}

/// Tells whether this is CI, where nothing may be missing.
#[expect(
    clippy::disallowed_methods,
    reason = "tests have no settings but these"
)]
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// Tells whether a store can be tested here.
pub(crate) fn available(kind: Kind) -> bool {
    if kind == Kind::Postgres && postgres().is_none() {
        assert!(
            !in_ci(),
            "CI needs {POSTGRES}: the address of a PostgreSQL server"
        );
        println!("SKIPPED: set {POSTGRES} to the address of a PostgreSQL server");
        return false;
    }
    true
}

/// Makes an empty schema on the server and returns the address that leads into it.
pub(crate) async fn postgres_schema() -> String {
    let url = postgres().unwrap();
    let name = format!("t_{}", uuid::Uuid::new_v4().simple());
    let pool = sqlx::PgPool::connect(&url).await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(format!("CREATE SCHEMA {name}")))
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}options=-c%20search_path%3D{name}")
}

pub(crate) struct Harness {
    pub(crate) server: RunningServer,
    pub(crate) client: Client,
    options: Options,
    /// Address of the database server, where there is one.
    database: Option<String>,
    folder: TempDir,
}

/// A client of one service.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
}

/// A caller with a key of its own.
pub(crate) struct Caller {
    client: Client,
    key: String,
    password: String,
}

impl Caller {
    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self
            .client
            .request(method, path)
            .basic_auth(&self.key, Some(&self.password))
            .json(&body);
        self.client.send(request).await
    }
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }

    #[track_caller]
    pub(crate) fn code(self, status: u16) -> String {
        let body = self.expect(status);
        body["code"]
            .as_str()
            .expect("an error has a code")
            .to_owned()
    }
}

impl Harness {
    /// Starts a service on an empty store, with the options changed.
    pub(crate) async fn start(kind: Kind, change: impl FnOnce(Options) -> Options) -> Self {
        let folder = TempDir::new().unwrap();
        let mut options = Options::new(folder.path().join("data"))
            .credentials(KEY, PASSWORD)
            .token("a token");
        let mut database = None;
        if kind == Kind::Postgres {
            let url = postgres_schema().await;
            options = options.database_url(url.clone());
            database = Some(url);
        }
        Self::with(change(options), database, folder).await
    }

    /// Starts a service on a store that holds what statements make.
    pub(crate) async fn on(kind: Kind, statements: &'static str) -> Self {
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("data");
        let mut options = Options::new(&data).credentials(KEY, PASSWORD);
        let mut database = None;
        match kind {
            Kind::Sqlite => {
                std::fs::create_dir(&data).unwrap();
                let file = sqlx::sqlite::SqliteConnectOptions::new()
                    .filename(data.join("car.db"))
                    .create_if_missing(true);
                let pool = sqlx::SqlitePool::connect_with(file).await.unwrap();
                sqlx::raw_sql(statements).execute(&pool).await.unwrap();
                pool.close().await;
            }
            Kind::Postgres => {
                let url = postgres_schema().await;
                let pool = sqlx::PgPool::connect(&url).await.unwrap();
                sqlx::raw_sql(statements).execute(&pool).await.unwrap();
                pool.close().await;
                options = options.database_url(url.clone());
                database = Some(url);
            }
        }
        Self::with(options, database, folder).await
    }

    async fn with(options: Options, database: Option<String>, folder: TempDir) -> Self {
        let server = Server::start(options.clone()).await.unwrap();
        Self {
            client: Client::new(&server.url()),
            server,
            options,
            database,
            folder,
        }
    }

    /// Starts a service on an empty store.
    pub(crate) async fn empty(kind: Kind) -> Self {
        Self::start(kind, |options| options).await
    }

    /// Starts a service whose database is made.
    pub(crate) async fn ready(kind: Kind) -> Self {
        let harness = Self::empty(kind).await;
        harness
            .client
            .post("databases", json!({}))
            .await
            .expect(200);
        harness
    }

    /// Returns where the data is.
    pub(crate) fn place(&self) -> car_service::Place {
        match &self.database {
            Some(url) => car_service::Place::Server(url.clone()),
            None => car_service::Place::Folder(self.folder.path().join("data")),
        }
    }

    /// Keeps everybody from a table on the server until what is returned goes.
    pub(crate) async fn lock(&self, table: &str) -> sqlx::PgConnection {
        use sqlx::Connection as _;
        let url = self.database.as_ref().unwrap();
        let mut conn = sqlx::PgConnection::connect(url).await.unwrap();
        let sql = format!("BEGIN; LOCK TABLE {table}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut conn)
            .await
            .unwrap();
        conn
    }

    /// Makes a key for a running service and returns a caller that uses it.
    pub(crate) async fn key(&self, role: &str, sources: &[&str]) -> Caller {
        let admin = car_service::Admin::open(&self.place()).await.unwrap();
        let sources = sources.iter().map(|&source| source.to_owned()).collect();
        let credentials = admin.create_key(role, sources).await.unwrap();
        admin.close().await;
        Caller {
            client: self.client.clone(),
            key: credentials.key,
            password: credentials.password,
        }
    }

    /// Stops the service and starts it again on the same store.
    pub(crate) async fn restart(self) -> Self {
        self.server.shutdown().await;
        Self::with(self.options, self.database, self.folder).await
    }
}

impl Client {
    pub(crate) fn new(base: &str) -> Self {
        // The second caller finds it installed already.
        drop(rustls::crypto::ring::default_provider().install_default());
        Self {
            http: reqwest::Client::builder()
                .timeout(std::time::Duration::from_secs(60))
                .build()
                .unwrap(),
            base: base.to_owned(),
        }
    }

    /// Builds a call; a path that begins with `v3/` goes to that version.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = match path.strip_prefix("v3/") {
            Some(path) => format!("{}/v3/{path}", self.base.trim_end_matches("/v2")),
            None => format!("{}/{path}", self.base),
        };
        self.http.request(method, url)
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { status, body }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.request(method, path).basic_auth(KEY, Some(PASSWORD));
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.send(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// Posts rows of a source and expects them to be taken.
    pub(crate) async fn import(&self, source: &str, rows: Value) -> String {
        let body = self
            .post("imports", envelope(source, rows))
            .await
            .expect(200);
        assert_eq!(body["status"], "COMPLETE");
        body["id"].as_str().unwrap().to_owned()
    }

    /// Opens a session and expects that it worked.
    pub(crate) async fn open(&self, source: &str) {
        let path = format!("source/{source}/full-import-in-progress");
        let job = self.post(&path, json!({})).await.expect(200);
        assert_eq!(self.job(&job).await["status"], "COMPLETE");
    }

    /// Closes a session and returns the state of the job.
    pub(crate) async fn close(&self, source: &str) -> Value {
        let path = format!("source/{source}/full-import-in-progress");
        let job = self.delete(&path).await.expect(200);
        self.job(&job).await
    }

    async fn job(&self, started: &Value) -> Value {
        let id = started["job_id"].as_str().unwrap();
        self.get(&format!("jobstatus/{id}")).await.expect(200)
    }

    /// Returns the external ids (or `from to`) of a collection, sorted.
    pub(crate) async fn ids(&self, collection: &str) -> Vec<String> {
        let rows = self.get(collection).await.expect(200);
        let text = |row: &Value, name: &str| row[name].as_str().map(str::to_owned);
        let mut ids: Vec<String> = rows
            .as_array()
            .unwrap()
            .iter()
            .map(|row| match (text(row, "_from"), text(row, "_to")) {
                (Some(from), Some(to)) => format!("{from} {to}"),
                _ => text(row, "external_id").unwrap(),
            })
            .collect();
        ids.sort();
        ids
    }
}

/// Makes an envelope.
pub(crate) fn envelope(source: &str, rows: Value) -> Value {
    let mut envelope = json!({
        "source": { "_key": source, "name": "a source" },
        "report": { "_key": "r1", "timestamp": 1_700_000_000_000_i64, "type": "test" },
    });
    for (collection, rows) in rows.as_object().unwrap() {
        envelope[collection] = rows.clone();
    }
    envelope
}

/// Percent-encodes one segment or value.
pub(crate) fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
