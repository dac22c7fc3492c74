//! Rows in the binary form of `COPY`: the fastest way into the database.

use super::super::conn::BulkColumn;
use super::super::value::{ColumnType, Value};
use crate::error::{Error, Result};

/// What a stream begins with: the signature, no flags, no further header.
pub(super) const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What a stream ends with.
pub(super) const END: &[u8] = b"\xff\xff";

/// The length that stands for no value.
const NULL: i32 = -1;

/// Writes rows as a piece of a stream, between [`HEAD`] and [`END`].
///
/// # Errors
///
/// When a row is larger than the form allows.
pub(super) fn encode(columns: &[BulkColumn], rows: &[Vec<Value>]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(rows.len().saturating_mul(256));
    let count = i16::try_from(columns.len()).map_err(too_large)?;
    for row in rows {
        out.extend_from_slice(&count.to_be_bytes());
        for (column, value) in columns.iter().zip(row) {
            put(&mut out, column.ty, value)?;
        }
    }
    Ok(out)
}

fn put(out: &mut Vec<u8>, ty: ColumnType, value: &Value) -> Result<()> {
    match ty {
        ColumnType::Text => field(out, value.as_str().map(str::as_bytes)),
        ColumnType::Int => field(out, value.as_int().map(i64::to_be_bytes)),
        ColumnType::Float => field(out, value.as_float().map(f64::to_be_bytes)),
        ColumnType::Bool => field(out, value.as_int().map(|value| [u8::from(value != 0)])),
    }
}

fn field(out: &mut Vec<u8>, bytes: Option<impl AsRef<[u8]>>) -> Result<()> {
    let Some(bytes) = bytes else {
        out.extend_from_slice(&NULL.to_be_bytes());
        return Ok(());
    };
    let bytes = bytes.as_ref();
    let length = i32::try_from(bytes.len()).map_err(too_large)?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

fn too_large(error: std::num::TryFromIntError) -> Error {
    Error::internal("write a row of this size", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_count_and_values_with_their_lengths() {
        let column = |name: &str, ty| BulkColumn {
            name: name.to_owned(),
            ty,
        };
        let columns = [
            column("a", ColumnType::Text),
            column("b", ColumnType::Int),
            column("c", ColumnType::Float),
            column("d", ColumnType::Bool),
        ];
        let rows = [
            vec![
                "xü".into(),
                Value::Int(-2),
                Value::Int(1),
                Value::Bool(true),
            ],
            vec![Value::Null, Value::Null, Value::Null, Value::Null],
        ];
        let mut wanted = b"\0\x04\0\0\0\x03x\xc3\xbc".to_vec();
        wanted.extend_from_slice(b"\0\0\0\x08\xff\xff\xff\xff\xff\xff\xff\xfe");
        wanted.extend_from_slice(b"\0\0\0\x08\x3f\xf0\0\0\0\0\0\0\0\0\0\x01\x01");
        wanted.extend_from_slice(b"\0\x04");
        wanted.extend_from_slice(&[0xff; 16]);
        assert_eq!(encode(&columns, &rows).unwrap(), wanted);
        assert_eq!(HEAD.len(), 19);
    }
}
