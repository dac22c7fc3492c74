//! Sagas for programs and pages: everything that is recorded but the request, which may hold what
//! whoever looks after sagas need not see.

use serde::Serialize;

use super::event::{Entry, Event};
use super::progress::{Status, StepStatus};
use super::response::Response;
use super::view::SagaView;

/// Most records of a saga in a report; of more, the latest are told.
const MOST: usize = 1000;

/// A saga: where it and its steps stand, and how they got there. Times are milliseconds since
/// 1970.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SagaReport {
    /// Its id.
    pub id: String,
    /// Its name.
    pub saga: String,
    /// Where it stands.
    pub status: Status,
    /// What the platform was told last.
    pub response: Option<Response>,
    /// Why it is undone.
    pub error: Option<String>,
    /// When it was recorded first.
    pub created_at: u64,
    /// When it was recorded last.
    pub updated_at: u64,
    /// Its steps, in order.
    pub steps: Vec<StepReport>,
    /// Its latest records, in order.
    pub records: Vec<RecordReport>,
    /// How many records came before those.
    pub earlier_records: usize,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepReport {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub status: StepStatus,
    /// How often it was started, ever.
    pub attempts: u32,
    /// How often its compensation was started, ever.
    pub undo_attempts: u32,
    /// What it, or its compensation, failed with last.
    pub error: Option<String>,
    /// When the latest record of it was written.
    pub updated_at: Option<u64>,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordReport {
    /// When it was written.
    pub at: u64,
    /// What it records.
    pub record: &'static str,
    /// The step that it is about.
    pub step: Option<String>,
    /// What it says beside that: an error, a reason, or how long is waited.
    pub note: Option<String>,
}

impl SagaView {
    /// Tells the saga without its request.
    #[must_use]
    pub fn report(&self) -> SagaReport {
        let progress = &self.progress;
        let steps = progress.steps.iter().enumerate().map(|(at, step)| {
            let of_it = || {
                self.entries
                    .iter()
                    .filter(move |entry| entry.event.step() == Some(at))
            };
            let count = |is_it: fn(&Event) -> bool| {
                let counted = of_it().filter(|entry| is_it(&entry.event)).count();
                u32::try_from(counted).unwrap_or(u32::MAX)
            };
            StepReport {
                name: step.name.clone(),
                status: step.status,
                attempts: count(|event| matches!(event, Event::Started { .. })),
                undo_attempts: count(|event| matches!(event, Event::Undoing { .. })),
                error: joined(&step.error),
                updated_at: of_it().next_back().map(|entry| entry.at),
            }
        });
        let steps: Vec<StepReport> = steps.collect();
        let earlier_records = self.entries.len().saturating_sub(MOST);
        let record = |entry: &Entry| RecordReport {
            at: entry.at,
            record: entry.event.as_str(),
            step: entry
                .event
                .step()
                .and_then(|at| steps.get(at))
                .map(|step| step.name.clone()),
            note: note(&entry.event),
        };
        SagaReport {
            id: self.id.clone(),
            saga: progress.saga.clone(),
            status: progress.status,
            response: progress.response.clone(),
            error: joined(&progress.error),
            created_at: self.entries.first().map_or(0, |entry| entry.at),
            updated_at: self.entries.last().map_or(0, |entry| entry.at),
            records: self
                .entries
                .iter()
                .skip(earlier_records)
                .map(record)
                .collect(),
            earlier_records,
            steps,
        }
    }
}

fn joined(error: &[String]) -> Option<String> {
    (!error.is_empty()).then(|| error.join(": "))
}

/// Says what a record says beside what it records and of which step.
fn note(event: &Event) -> Option<String> {
    match event {
        Event::Failed { error, .. } | Event::UndoFailed { error, .. } => joined(error),
        Event::Abandoned { reason } => Some(reason.clone()),
        Event::Waiting { response, .. } | Event::Ended { response } => Some(response.to_text()),
        Event::Undone { response, .. } => response.as_ref().map(Response::to_text),
        Event::Began { .. }
        | Event::Redelivered { .. }
        | Event::Started { .. }
        | Event::Passed { .. }
        | Event::Done { .. }
        | Event::Undoing { .. }
        | Event::Stuck { .. }
        | Event::Resumed => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn view(events: Vec<Event>) -> SagaView {
        let progress = super::super::Progress::of(&events).unwrap().unwrap();
        let entries = events.into_iter().zip(1..);
        SagaView {
            id: "PR-1".to_owned(),
            progress,
            entries: entries.map(|(event, at)| Entry { at, event }).collect(),
        }
    }

    fn began() -> Event {
        Event::Began {
            saga: "order".to_owned(),
            steps: vec!["reserve".to_owned(), "pay".to_owned()],
            request: json!({"email": "ada@example.org"}),
        }
    }

    #[test]
    fn attempts_are_counted_over_waits_and_the_request_is_not_told() {
        let waiting = Event::Waiting {
            step: 0,
            response: Response::reschedule(),
            request: json!("ada@example.org"),
        };
        let started = || Event::Started { step: 0 };
        let report = view(vec![began(), started(), waiting, started()]).report();
        let step = &report.steps[0];
        assert_eq!((step.attempts, step.updated_at), (2, Some(4)));
        assert_eq!(report.steps[1].updated_at, None);
        assert_eq!(
            report.records[2].note.as_deref(),
            Some("reschedule after 30 s")
        );
        let text = serde_json::to_string(&report).unwrap();
        assert!(!text.contains("ada@example.org"), "{text}");
        assert!(text.contains("\"undoAttempts\":0"), "{text}");
    }

    #[test]
    fn of_very_many_records_the_latest_are_told() {
        let mut events = vec![began()];
        events.extend((0..MOST).map(|_| Event::Started { step: 0 }));
        let report = view(events).report();
        assert_eq!((report.records.len(), report.earlier_records), (MOST, 1));
        assert_eq!(report.records[0].record, "started");
        assert_eq!(report.steps[0].attempts, 1000);
    }
}
