//! The save point as the service keeps it: the state of the source, and the vertices that links
//! still wait for.
//!
//! Both belong together: a save point that moves past edges which were withheld, without a word
//! about them, loses them. A place beside the service, such as a file of the connector, may be
//! gone or be another one when the next run looks.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use crate::handler::Awaited;

/// Stands between the source's state and the vertices.
const AWAITING: &str = ";awaiting=";

/// Most vertices in a save point, 8 bytes each.
const MOST: usize = 10_000;

/// A save point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SavePoint {
    /// State of the source that the graph was brought to.
    pub(super) state: String,
    /// Vertices that were rejected on the way there.
    pub(super) awaited: Awaited,
}

impl SavePoint {
    /// Takes apart what the service keeps.
    pub(super) fn read(text: &str) -> Self {
        let parts = text
            .rsplit_once(AWAITING)
            .and_then(|(state, awaited)| Some((state, read(awaited)?)));
        let (state, awaited) = parts.unwrap_or((text, Awaited::default()));
        Self {
            state: state.to_owned(),
            awaited,
        }
    }

    /// Returns what the service is to keep; `None` when it would be too long.
    pub(super) fn write(&self) -> Option<String> {
        let Self { state, awaited } = self;
        if awaited.0.len() > MOST {
            return None;
        }
        // A state that looks like a save point is told from one by what follows.
        if awaited.0.is_empty() && !state.contains(AWAITING) {
            return Some(state.clone());
        }
        let bytes: Vec<u8> = awaited
            .0
            .iter()
            .flat_map(|(vertex, sum)| [vertex.to_le_bytes(), sum.to_le_bytes()])
            .flatten()
            .collect();
        Some(format!("{state}{AWAITING}{}", BASE64.encode(bytes)))
    }

    /// Returns the state of the source in what the service keeps.
    pub(super) fn state_of(text: &str) -> String {
        Self::read(text).state
    }
}

fn read(text: &str) -> Option<Awaited> {
    let bytes = BASE64.decode(text).ok()?;
    let (pairs, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return None;
    }
    let number = |bytes: &[u8]| Some(u32::from_le_bytes(bytes.try_into().ok()?));
    let pairs = pairs.iter().map(|pair| {
        let (vertex, sum) = pair.split_at(4);
        Some((number(vertex)?, number(sum)?))
    });
    pairs.collect::<Option<_>>().map(Awaited)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_comes_back() {
        let awaited = Awaited([(7, 8), (u32::MAX, 1)].into());
        for state in [
            "17",
            "",
            "2026-01-01;x",
            ";awaiting=",
            "1;awaiting=AAAAAAAAAAA",
        ] {
            for awaited in [&Awaited::default(), &awaited] {
                let point = SavePoint {
                    state: state.to_owned(),
                    awaited: awaited.clone(),
                };
                let text = point.write().unwrap();
                assert_eq!(SavePoint::read(&text), point, "{text}");
            }
        }
    }

    #[test]
    fn a_state_without_anything_to_wait_for_stands_as_it_is() {
        let point = SavePoint::read("2026-01-01T00:00:00Z");
        assert_eq!(point.write().as_deref(), Some("2026-01-01T00:00:00Z"));
        for odd in ["1;awaiting=%", "1;awaiting=AAAA"] {
            assert_eq!(SavePoint::read(odd).state, odd);
        }
    }

    #[test]
    fn a_save_point_has_an_end() {
        let many = (0..=u32::try_from(MOST).unwrap()).map(|n| (n, 1)).collect();
        let point = SavePoint {
            state: "1".to_owned(),
            awaited: Awaited(many),
        };
        assert_eq!(point.write(), None);
    }
}
