//! Settings of test runs, from the environment.

/// Returns how many cases a test that makes up cases tries: `CAR_TEST_CASES`, or the number that
/// suits every run.
#[must_use]
pub fn cases(usual: u32) -> u32 {
    number("CAR_TEST_CASES")
        .and_then(|number| number.try_into().ok())
        .unwrap_or(usual)
}

/// Returns where made-up cases begin: `CAR_TEST_SEED`, or the same in every run.
///
/// Prints it, so that a failure can be repeated.
#[must_use]
#[expect(clippy::print_stderr, reason = "test runners show it beside a failure")]
pub fn seed() -> u64 {
    let seed = number("CAR_TEST_SEED").unwrap_or(1);
    eprintln!("CAR_TEST_SEED={seed} repeats this run");
    seed
}

/// Returns how many seeds a simulation tries: `CAR_SIM_SEEDS`, or the number that suits every run.
#[must_use]
pub fn sim_seeds(usual: u64) -> u64 {
    number("CAR_SIM_SEEDS").unwrap_or(usual)
}

/// Returns the one seed that a simulation shall repeat, from `CAR_SIM_SEED`.
#[must_use]
pub fn sim_seed() -> Option<u64> {
    number("CAR_SIM_SEED")
}

/// Tells whether this is CI, where nothing may be missing.
#[expect(
    clippy::disallowed_methods,
    reason = "settings of tests are not settings of a program"
)]
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

#[expect(
    clippy::disallowed_methods,
    reason = "settings of tests are not settings of a program"
)]
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    match text.parse() {
        Ok(number) => Some(number),
        Err(error) => panic!("{name}={text}: {error}"),
    }
}

/// Returns the address of the Temporal server for tests, `temporal://HOST:PORT`, which
/// `CAR_TEST_TEMPORAL` names; where there is none, says so and returns none, which CI does not
/// take.
///
/// # Panics
///
/// Without a server in CI.
#[must_use]
pub fn temporal_server() -> Option<String> {
    let server = server("CAR_TEST_TEMPORAL", "a Temporal server, HOST:PORT");
    server.map(|server| format!("temporal://{server}"))
}

/// Returns the address of the PostgreSQL server for tests, which `CAR_SERVICE_TEST_POSTGRES`
/// names; where there is none, says so and returns none, which CI does not take.
///
/// # Panics
///
/// Without a server in CI.
#[must_use]
pub fn postgres_server() -> Option<String> {
    let what = "a PostgreSQL server, postgres://USER@HOST/DATABASE";
    server("CAR_SERVICE_TEST_POSTGRES", what)
}

#[expect(
    clippy::disallowed_methods,
    reason = "settings of tests are not settings of a program"
)]
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn server(name: &str, what: &str) -> Option<String> {
    let server = std::env::var(name).ok().filter(|value| !value.is_empty());
    if server.is_none() {
        assert!(!in_ci(), "CI needs {what}, in {name}");
        println!("SKIPPED: needs {what}, in {name}");
    }
    server
}
