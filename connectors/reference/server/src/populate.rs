//! Loading made objects: many, fast, and the same ones every time.

use std::path::Path;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row as _};

use crate::error::Error;
use crate::model::COLLECTIONS;
use crate::store::{Store, changes, layout, run_all};

/// A load of more assets than this is not written to the change log object by object; the log
/// starts anew after it, and clients do a full import.
const LOGGED_UP_TO: u64 = 10_000;
/// Addresses are made from 240.0.0.0/4, which no network uses.
const MOST: u64 = 100_000_000;

/// What [`populate`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Populated {
    /// Number of objects in the database afterwards, per collection.
    pub objects: Vec<(&'static str, u64)>,
    /// Whether the change log holds the load; if not, clients are told to do a full import.
    pub logged: bool,
}

/// Adds `assets` made assets to the database at `data`, each with two vulnerabilities, one IP
/// address, one MAC address, one host name and three applications. All addresses and applications
/// share one port, all assets two sites. One transaction; the same `seed` on the same file gives
/// the same objects.
///
/// # Errors
/// [`Error::Setting`] when the file cannot be used or `assets` is too large, [`Error::Database`]
/// when writing fails; nothing is loaded then.
pub async fn populate(data: &Path, assets: u64, seed: u32) -> Result<Populated, Error> {
    let store = Store::open(data, u64::MAX).await?;
    let outcome = load(&store, assets, seed).await;
    store.close().await;
    outcome
}

async fn load(store: &Store, assets: u64, seed: u32) -> Result<Populated, Error> {
    let failed = Error::database("loading made assets");
    let mut writer = store.writer.acquire().await.map_err(&failed)?;
    // The rows refer to each other by construction; checking each link would double the time.
    run_all(
        &mut writer,
        "PRAGMA foreign_keys = OFF; PRAGMA cache_size = -65536;".to_owned(),
    )
    .await
    .map_err(&failed)?;
    let mut tx = sqlx::Connection::begin_with(&mut *writer, "BEGIN IMMEDIATE")
        .await
        .map_err(&failed)?;
    let done: i64 = sqlx::query(
        "SELECT coalesce(max(CAST(value AS INTEGER)), 0) FROM meta WHERE name = 'populated'",
    )
    .fetch_one(&mut *tx)
    .await
    .and_then(|row| row.try_get(0))
    .map_err(&failed)?;
    let total = assets.saturating_add(u64::try_from(done).unwrap_or(0));
    if assets == 0 || total > MOST {
        return Err(Error::setting(
            "--assets",
            format!("must be from 1 to {MOST}, with the {done} that were loaded before"),
        ));
    }
    let logged = assets <= LOGGED_UP_TO;
    if !logged {
        run_all(&mut tx, layout::drop_triggers() + &layout::drop_indexes())
            .await
            .map_err(&failed)?;
    }
    let last = i64::try_from(total).unwrap_or(i64::MAX);
    insert(&mut tx, done, last, seed).await.map_err(&failed)?;
    if !logged {
        run_all(
            &mut tx,
            layout::create_indexes() + &layout::create_triggers(),
        )
        .await
        .map_err(&failed)?;
        restart_log(&mut tx).await.map_err(&failed)?;
    }
    tx.commit().await.map_err(&failed)?;
    drop(writer);
    let counts = store.counts().await;
    let counts = counts.map_err(|e| Error::setting("--data", e.message))?;
    Ok(Populated {
        objects: counts
            .into_iter()
            .map(|(c, n)| (c.name, u64::try_from(n).unwrap_or(0)))
            .collect(),
        logged,
    })
}

/// Empties the change log and counts the load as one change, so that every earlier state is too
/// old for a delta.
async fn restart_log(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let before = changes::last(connection).await?;
    sqlx::query("INSERT INTO changes (collection, pk, key, kind) VALUES ('', 0, '', 0)")
        .execute(&mut *connection)
        .await?;
    debug_assert!(changes::last(connection).await? > before);
    sqlx::query("DELETE FROM changes")
        .execute(connection)
        .await
        .map(drop)
}

/// A number from 0 to `below` - 1 that looks random, from an SQL expression.
fn random(expression: &str, below: u32) -> String {
    format!("(((({expression}) + :seed * 7919) * 2654435761 % 4294967296) / 256 % {below})")
}

/// Marks the port and the sites that all loads share.
const MADE: &str = "made by populate";
/// Number of cross references that the vulnerabilities of one load share.
const POOL: u32 = 20;

/// Makes the objects number `done` + 1 to `last`. Each statement makes all its rows inside
/// SQLite.
async fn insert(
    connection: &mut SqliteConnection,
    done: i64,
    last: i64,
    seed: u32,
) -> Result<(), sqlx::Error> {
    // `:NAME0` is the greatest pk that the collection has given out.
    let mut values = vec![
        (":done".to_owned(), done),
        (":count".to_owned(), last - done),
        (":seed".to_owned(), i64::from(seed)),
    ];
    for collection in &COLLECTIONS {
        let row = sqlx::query("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?1")
            .bind(collection.name)
            .fetch_one(&mut *connection)
            .await?;
        values.push((format!(":{}0", collection.name), row.try_get(0)?));
    }
    for statement in statements() {
        let text = values.iter().fold(statement, |text, (name, value)| {
            text.replace(name.as_str(), &value.to_string())
        });
        sqlx::query(AssertSqlSafe(text))
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query("INSERT OR REPLACE INTO meta (name, value) VALUES ('populated', ?1)")
        .bind(last.to_string())
        .execute(connection)
        .await
        .map(drop)
}

/// `INSERT INTO table SELECT columns` for i = 1 to `times` x the number of assets; `g` is the
/// number of the object over all loads.
fn each(table: &str, times: u32, columns: &str) -> String {
    format!(
        "WITH RECURSIVE n(i, g) AS (SELECT 1, {times} * :done + 1 UNION ALL SELECT i + 1, g + 1 \
         FROM n WHERE i < {times} * :count) INSERT INTO {table} SELECT {columns} FROM n"
    )
}

fn statements() -> Vec<String> {
    let mut all = shared();
    all.extend(objects());
    all.extend(links());
    all
}

fn shared() -> Vec<String> {
    vec![
        format!(
            "INSERT INTO sites (name, address, description) SELECT v.name, v.address, '{MADE}' \
             FROM (SELECT 'Site1' AS name, '1 First Street' AS address UNION ALL SELECT 'Site2', \
             '2 Second Street') v WHERE NOT EXISTS (SELECT 1 FROM sites s WHERE s.name = v.name \
             AND s.description = '{MADE}')"
        ),
        format!(
            "INSERT INTO ports (port_number, protocol, status, description) SELECT 443, 'tcp', \
             'open', '{MADE}' WHERE NOT EXISTS (SELECT 1 FROM ports WHERE description = '{MADE}')"
        ),
        format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {POOL}) \
             INSERT INTO xrefproperties (pk, name, value) SELECT :xrefproperties0 + i, 'CWE', \
             'CWE-' || (20 + {}) FROM n",
            random("i", 1000)
        ),
    ]
}

fn objects() -> Vec<String> {
    // 2015-01-01, and ten years in minutes.
    let disclosed = format!("1420070400000 + 60000 * {}", random("g", 5_256_000));
    let version = format!("(1 + {}) || '.' || {}", random("g", 9), random("g * 3", 20));
    vec![
        each(
            "assets (pk, name, description, asset_type, initial_value, business_value, risk)",
            1,
            &format!(
                "i + :assets0, 'Asset' || g, 'Made asset ' || g, CASE {} WHEN 0 THEN 'server' \
                 WHEN 1 THEN 'workstation' ELSE 'device' END, {} / 10.0, {} / 10.0, {} / 10.0",
                random("g", 3),
                random("g * 3", 1001),
                random("g * 5", 101),
                random("g * 7", 101),
            ),
        ),
        each(
            "vulnerabilities (pk, external_id, name, description, base_score, disclosed_on, \
             published_on)",
            2,
            &format!(
                "i + :vulnerabilities0, printf('CVE-%d-%07d', 2015 + {}, g), 'Vulnerability ' || \
                 g, 'Made vulnerability ' || g, {} / 10.0, {disclosed}, 2592000000 + {disclosed}",
                random("g", 10),
                random("g * 3", 101),
            ),
        ),
        each(
            "mac_addresses (pk, address, interface)",
            1,
            "i + :mac_addresses0, printf('ae:00:%02x:%02x:%02x:%02x', g >> 24, g >> 16 & 255, g \
             >> 8 & 255, g & 255), 'eth0'",
        ),
        each(
            "ip_addresses (pk, address)",
            1,
            "i + :ip_addresses0, printf('%d.%d.%d.%d', 240 + (g >> 24), g >> 16 & 255, g >> 8 & \
             255, g & 255)",
        ),
        each(
            "hosts (pk, host_name)",
            1,
            "i + :hosts0, 'host' || g || '.example'",
        ),
        each(
            "apps (pk, name, version, description, cpe, owner, is_os)",
            3,
            &format!(
                "i + :apps0, CASE (g - 1) % 3 WHEN 0 THEN 'Sample OS' WHEN 1 THEN 'Sample Web \
                 Server' ELSE 'Sample Database' END, {version}, 'Made application ' || g, \
                 'cpe:2.3:' || CASE (g - 1) % 3 WHEN 0 THEN 'o:example:os' WHEN 1 THEN \
                 'a:example:web' ELSE 'a:example:database' END || ':' || {version} || ':*:*:*:*:*:*:*', \
                 'owner' || {}, (g - 1) % 3 = 0",
                random("g", 50),
            ),
        ),
    ]
}

fn links() -> Vec<String> {
    let port = format!("(SELECT min(pk) FROM ports WHERE description = '{MADE}')");
    let site = |name: &str| {
        format!("(SELECT min(pk) FROM sites WHERE name = '{name}' AND description = '{MADE}')")
    };
    let reference = random("g", POOL);
    // Owner and target per object: the n-th of a collection with `times` objects per asset
    // belongs to asset (n - 1) / times + 1.
    vec![
        each(
            "assets__site",
            1,
            &format!(
                "i + :assets0, CASE g % 2 WHEN 1 THEN {} ELSE {} END",
                site("Site1"),
                site("Site2")
            ),
        ),
        each(
            "vulnerabilities__assets",
            2,
            "i + :vulnerabilities0, (i - 1) / 2 + 1 + :assets0",
        ),
        each(
            "vulnerabilities__xref_properties",
            2,
            &format!("i + :vulnerabilities0, 1 + {reference} + :xrefproperties0"),
        ),
        each(
            "vulnerabilities__xref_properties",
            2,
            &format!("i + :vulnerabilities0, 1 + ({reference} + 7) % {POOL} + :xrefproperties0"),
        ),
        each(
            "mac_addresses__assets",
            1,
            "i + :mac_addresses0, i + :assets0",
        ),
        each(
            "ip_addresses__assets",
            1,
            "i + :ip_addresses0, i + :assets0",
        ),
        each(
            "ip_addresses__mac_addresses",
            1,
            "i + :ip_addresses0, i + :mac_addresses0",
        ),
        each(
            "ip_addresses__ports",
            1,
            &format!("i + :ip_addresses0, {port}"),
        ),
        each("hosts__assets", 1, "i + :hosts0, i + :assets0"),
        each("hosts__ip_addresses", 1, "i + :hosts0, i + :ip_addresses0"),
        each("apps__assets", 3, "i + :apps0, (i - 1) / 3 + 1 + :assets0"),
        each("apps__ports", 3, &format!("i + :apps0, {port}")),
        each(
            "apps__vulnerabilities",
            1,
            "i * 3 - 2 + :apps0, i * 2 - 1 + :vulnerabilities0",
        ),
    ]
}
