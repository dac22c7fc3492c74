//! Records as the workflow keeps them: many have the same request, which is kept once.

use car_core::saga::Entry;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a record has its request.
const REQUEST: &str = "request";

/// Records in order.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Records {
    /// Each request once.
    requests: Vec<Value>,
    list: Vec<Kept>,
    /// About how many bytes it all has.
    bytes: usize,
}

/// A record, with the number of its request in its place.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    at: u64,
    event: Value,
}

impl Records {
    /// Returns how many there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns how many bytes there would be with more records.
    pub(crate) fn bytes_with(&self, events: &[Value]) -> usize {
        let new = |event: &Value| {
            let known = event.get(REQUEST).filter(|new| self.requests.contains(new));
            size(event).saturating_sub(known.map_or(0, size))
        };
        events
            .iter()
            .map(new)
            .fold(self.bytes, usize::saturating_add)
    }

    pub(crate) fn push(&mut self, at: u64, mut event: Value) {
        if let Some(request) = event.get_mut(REQUEST) {
            let number = self.number(request.take());
            *request = number.into();
        }
        let kept = Kept { at, event };
        self.bytes = self.bytes.saturating_add(size(&kept));
        self.list.push(kept);
    }

    fn number(&mut self, request: Value) -> usize {
        let known = self.requests.iter().rposition(|known| *known == request);
        known.unwrap_or_else(|| {
            self.bytes = self.bytes.saturating_add(size(&request));
            self.requests.push(request);
            self.requests.len().saturating_sub(1)
        })
    }

    /// Returns a record as it was given.
    pub(crate) fn get(&self, number: usize) -> Option<(u64, Value)> {
        let kept = self.list.get(number)?;
        let mut event = kept.event.clone();
        if let Some(request) = event.get_mut(REQUEST) {
            let number = request.as_u64().and_then(|number| number.try_into().ok());
            let known = number.and_then(|number: usize| self.requests.get(number));
            *request = known.cloned().unwrap_or_default();
        }
        Some((kept.at, event))
    }

    /// Returns the records from one on, up to so many bytes, but at least one if there is one.
    pub(crate) fn page(&self, from: usize, most: usize) -> Vec<(u64, Value)> {
        let mut bytes = 0;
        let mut page = Vec::new();
        while let Some(record) = self.get(from.saturating_add(page.len())) {
            bytes += size(&record);
            if bytes > most && !page.is_empty() {
                break;
            }
            page.push(record);
        }
        page
    }

    /// Reads all of them.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>, serde_json::Error> {
        (0..self.len())
            .filter_map(|at| self.get(at))
            .map(entry)
            .collect()
    }
}

/// Reads a record.
pub(crate) fn entry((at, event): (u64, Value)) -> Result<Entry, serde_json::Error> {
    serde_json::from_value(event).map(|event| Entry { at, event })
}

/// Returns how many bytes something has as JSON.
pub(crate) fn size(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(0, |text| text.len())
}

#[cfg(test)]
mod tests {
    use car_core::saga::Event;
    use serde_json::json;

    use super::*;

    fn done(step: usize, request: &Value) -> Event {
        Event::Done {
            step,
            request: request.clone(),
        }
    }

    #[test]
    fn records_are_as_they_were_and_a_request_is_kept_once() {
        let (long, other) = (json!({"text": "x".repeat(10_000)}), json!(null));
        let events = [
            done(0, &long),
            Event::Started { step: 1 },
            done(1, &other),
            done(2, &long),
        ];
        let mut records = Records::default();
        for event in &events {
            records.push(7, serde_json::to_value(event).unwrap());
        }
        let (bytes, more) = (records.bytes, serde_json::to_value(done(3, &long)).unwrap());
        assert!(bytes < 11_000, "{bytes}");
        assert!((bytes + 1..bytes + 100).contains(&records.bytes_with(&[more])));
        let kept: Records = serde_json::from_value(json!(records)).unwrap();
        let entries = kept.entries().unwrap();
        assert!(entries.iter().all(|entry| entry.at == 7));
        let read: Vec<Event> = entries.into_iter().map(|entry| entry.event).collect();
        assert_eq!(read, events);
    }

    #[test]
    fn pages_have_at_least_one_record_and_come_to_an_end() {
        let mut records = Records::default();
        for step in 0..5 {
            let event = done(step, &json!("x".repeat(100)));
            records.push(0, serde_json::to_value(event).unwrap());
        }
        let mut from = 0;
        let mut pages = Vec::new();
        while let page = records.page(from, 300)
            && !page.is_empty()
        {
            from += page.len();
            pages.push(page.len());
        }
        assert_eq!(pages, [2, 2, 1]);
        assert_eq!(records.page(0, 1).len(), 1);
        assert_eq!(records.page(0, 1_000_000).len(), 5);
    }
}
