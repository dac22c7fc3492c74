//! Bringing a database up to this version of the program, when there is something to bring.
//!
//! Most starts find everything in place. They only look, so they wait for no writer and no
//! writer waits for them; what is missing is made under a lock that all replicas share.

use std::sync::Arc;

use crate::error::Result;
use crate::state;
use crate::store::ops::{self, catalog, schema, setup};
use crate::store::{Conn, Layout, Store};

/// Names what the database lacks for this program; nothing when it is up to date.
///
/// # Errors
///
/// When the database is from a newer program, or does not answer.
pub(crate) async fn check(store: &Store) -> Result<Vec<String>> {
    let mut conn = store.read().await?;
    let own = catalog::missing(conn.as_mut(), None).await?;
    if !own.is_empty() {
        return Ok(own);
    }
    match layout(conn.as_mut()).await? {
        Some(layout) => catalog::missing(conn.as_mut(), Some(&layout)).await,
        None => Ok(own),
    }
}

/// Makes what the database lacks, and returns its names.
///
/// # Errors
///
/// As [`check`], and when it cannot be made.
pub(crate) async fn migrate(store: &Store) -> Result<Vec<String>> {
    let missing = check(store).await?;
    if missing.is_empty() {
        return Ok(missing);
    }
    store.write(setup::Prepare).await?;
    let layout = {
        let mut conn = store.read().await?;
        layout(conn.as_mut()).await?
    };
    if let Some(layout) = layout {
        store.write(setup::EnsureTables(Arc::new(layout))).await?;
    }
    Ok(missing)
}

/// Returns the tables of the tenant's collections, once there are any.
async fn layout(conn: &mut dyn Conn) -> Result<Option<Layout>> {
    if !ops::state(conn).await?.created {
        return Ok(None);
    }
    let extensions = schema::all(conn).await?;
    let model = state::model(&extensions)?;
    Ok(Some(Layout::new(&model, &extensions)))
}
