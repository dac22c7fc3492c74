//! Where a saga stands: a pure function of what is recorded of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::event::Event;
use super::response::Response;

/// Where a saga stands as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Steps are being done, or wait for whoever resumes them.
    Running,
    /// A step asked to be done again later.
    Waiting,
    /// A step failed, and what was done is being undone.
    Undoing,
    /// What was done could not be undone: a person has to look.
    Stuck,
    /// Every step that applies is done.
    Done,
    /// Nothing of it is left.
    Undone,
    /// A person ended it as it was.
    Abandoned,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Running,
        Self::Waiting,
        Self::Undoing,
        Self::Stuck,
        Self::Done,
        Self::Undone,
        Self::Abandoned,
    ];

    /// Returns its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Undoing => "undoing",
            Self::Stuck => "stuck",
            Self::Done => "done",
            Self::Undone => "undone",
            Self::Abandoned => "abandoned",
        }
    }

    /// Finds a status by its name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Returns whether nothing more happens.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Undone | Self::Abandoned)
    }
}

/// Where one step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// Nothing was done about it.
    Pending,
    /// It is being done, or a crash ended that.
    Started,
    /// It does not apply, or had nothing to do.
    Passed,
    /// It is done.
    Done,
    /// It asked to be done again later.
    Waiting,
    /// It failed, and wrote nothing.
    Failed,
    /// It failed, and may have written.
    Unknown,
    /// It is being undone.
    Undoing,
    /// It is undone.
    Undone,
    /// It could not be undone.
    Stuck,
}

impl StepStatus {
    /// Returns its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Started => "started",
            Self::Passed => "passed",
            Self::Done => "done",
            Self::Waiting => "waiting",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Undoing => "undoing",
            Self::Undone => "undone",
            Self::Stuck => "stuck",
        }
    }

    const fn is_to_be_undone(self) -> bool {
        matches!(
            self,
            Self::Done | Self::Unknown | Self::Undoing | Self::Stuck
        )
    }
}

/// A step, as far as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepState {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub status: StepStatus,
    /// How often it was started since it last answered.
    pub starts: u32,
    /// How often its compensation was started.
    pub undos: u32,
    /// What it, or its compensation, failed with last; outermost first.
    pub error: Vec<String>,
}

/// Where a saga stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Name of the saga.
    pub saga: String,
    /// Where it stands as a whole.
    pub status: Status,
    /// Its steps, in order.
    pub steps: Vec<StepState>,
    /// The request, as the last record has it.
    pub request: Value,
    /// What the platform was told last.
    pub response: Option<Response>,
    /// Why it is undone, outermost first.
    pub error: Vec<String>,
    /// The step that failed.
    pub failed: Option<usize>,
    /// What the compensation of the step that failed answered.
    pub answer: Option<Response>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Todo {
    /// This step.
    Try(usize),
    /// Undoing this step.
    Undo(usize),
    /// Recording the end.
    End,
    /// Nothing, until a person looks.
    Stuck,
    /// Nothing.
    Over,
}

/// A record that does not fit where the saga stands.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("the record `{event}` does not fit: the saga is {status}, its step {step}")]
pub struct Misfit {
    /// The record.
    pub event: &'static str,
    /// Where the saga stands.
    pub status: &'static str,
    /// The step, and where it stands.
    pub step: String,
}

impl Progress {
    /// Begins with the first record.
    ///
    /// # Errors
    ///
    /// When it is another one.
    pub fn begin(event: &Event) -> Result<Self, Misfit> {
        let Event::Began {
            saga,
            steps,
            request,
        } = event
        else {
            return Err(Misfit {
                event: event.as_str(),
                status: "not begun",
                step: "none".to_owned(),
            });
        };
        let step = |name: &String| StepState {
            name: name.clone(),
            status: StepStatus::Pending,
            starts: 0,
            undos: 0,
            error: Vec::new(),
        };
        Ok(Self {
            saga: saga.clone(),
            status: Status::Running,
            steps: steps.iter().map(step).collect(),
            request: request.clone(),
            response: None,
            error: Vec::new(),
            failed: None,
            answer: None,
        })
    }

    /// Returns where a list of records leads.
    ///
    /// # Errors
    ///
    /// When they do not fit together.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Result<Option<Self>, Misfit> {
        let mut events = events.into_iter();
        let Some(first) = events.next() else {
            return Ok(None);
        };
        let mut progress = Self::begin(first)?;
        for event in events {
            progress.apply(event)?;
        }
        Ok(Some(progress))
    }

    /// Says what is to be done.
    #[must_use]
    pub fn todo(&self) -> Todo {
        match self.status {
            Status::Running | Status::Waiting => self.forward().map_or(Todo::End, Todo::Try),
            Status::Undoing => self.backward().map_or(Todo::End, Todo::Undo),
            Status::Stuck => Todo::Stuck,
            Status::Done | Status::Undone | Status::Abandoned => Todo::Over,
        }
    }

    /// Returns the name of the step that the saga stands at, if there is one.
    #[must_use]
    pub fn current(&self) -> Option<&str> {
        let stuck = |step: &StepState| step.status == StepStatus::Stuck;
        let at = match self.todo() {
            Todo::Try(at) | Todo::Undo(at) => Some(at),
            Todo::Stuck => self.steps.iter().rposition(stuck),
            Todo::End | Todo::Over => self.failed,
        };
        at.and_then(|at| self.steps.get(at))
            .map(|step| step.name.as_str())
    }

    /// Returns the first step that is neither done nor passed.
    fn forward(&self) -> Option<usize> {
        self.steps
            .iter()
            .position(|step| !matches!(step.status, StepStatus::Passed | StepStatus::Done))
    }

    /// Returns the last step that is to be undone.
    fn backward(&self) -> Option<usize> {
        self.steps
            .iter()
            .rposition(|step| step.status.is_to_be_undone())
    }

    /// Goes on by a record.
    ///
    /// # Errors
    ///
    /// When it does not fit; nothing is changed then.
    pub fn apply(&mut self, event: &Event) -> Result<(), Misfit> {
        use StepStatus as S;
        let going = matches!(self.status, Status::Running | Status::Waiting);
        let undoing = self.status == Status::Undoing;
        let next = if undoing || self.status == Status::Stuck {
            self.backward()
        } else {
            self.forward()
        };
        let at = event.step();
        let misfit = self.misfit(event);
        let step = match at {
            Some(at) if Some(at) == next => self.steps.get_mut(at),
            Some(_) => return Err(misfit),
            None => None,
        };
        match (event, step) {
            (Event::Started { .. }, Some(step)) if going => {
                step.status = S::Started;
                step.starts = step.starts.saturating_add(1);
                self.status = Status::Running;
            }
            (Event::Passed { .. }, Some(step)) if going => {
                step.status = S::Passed;
                self.status = Status::Running;
            }
            (Event::Done { request, .. }, Some(step)) if going && step.status == S::Started => {
                step.status = S::Done;
                self.request = request.clone();
            }
            (
                Event::Waiting {
                    response, request, ..
                },
                Some(step),
            ) if going && step.status == S::Started => {
                (step.status, step.starts) = (S::Waiting, 0);
                self.status = Status::Waiting;
                self.response = Some(response.clone());
                self.request = request.clone();
            }
            (
                Event::Failed {
                    undo,
                    error,
                    request,
                    ..
                },
                Some(step),
            ) if going => {
                step.status = if *undo { S::Unknown } else { S::Failed };
                step.error.clone_from(error);
                self.status = Status::Undoing;
                self.error.clone_from(error);
                self.failed = at;
                self.request = request.clone();
            }
            (Event::Undoing { .. }, Some(step)) if undoing => {
                step.status = S::Undoing;
                step.undos = step.undos.saturating_add(1);
            }
            (
                Event::Undone {
                    response, request, ..
                },
                Some(step),
            ) if undoing && step.status == S::Undoing => {
                step.status = S::Undone;
                self.request = request.clone();
                if at == self.failed {
                    self.answer.clone_from(response);
                }
            }
            (Event::UndoFailed { error, .. }, Some(step))
                if undoing && step.status == S::Undoing =>
            {
                step.error.clone_from(error);
            }
            (Event::Stuck { .. }, Some(step)) if undoing => {
                step.status = S::Stuck;
                self.status = Status::Stuck;
            }
            (Event::Resumed, None) if self.status == Status::Stuck => {
                self.status = Status::Undoing;
                if let Some(step) = next.and_then(|at| self.steps.get_mut(at)) {
                    (step.status, step.undos) = (S::Undoing, 0);
                }
            }
            (Event::Redelivered { request }, None) if going => self.request = request.clone(),
            (Event::Abandoned { .. }, None) if !self.status.is_over() => {
                self.status = Status::Abandoned;
                self.response = Some(Response::fail("it was abandoned"));
            }
            (Event::Ended { response }, None) if (going || undoing) && next.is_none() => {
                self.status = if undoing {
                    Status::Undone
                } else {
                    Status::Done
                };
                self.response = Some(response.clone());
            }
            _ => return Err(misfit),
        }
        Ok(())
    }

    fn misfit(&self, event: &Event) -> Misfit {
        let step = event.step().and_then(|at| self.steps.get(at));
        Misfit {
            event: event.as_str(),
            status: self.status.as_str(),
            step: step.map_or_else(
                || "none".to_owned(),
                |step| format!("`{}` {}", step.name, step.status.as_str()),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn began() -> Event {
        Event::Began {
            saga: "s".to_owned(),
            steps: vec!["a".to_owned(), "b".to_owned()],
            request: json!(0),
        }
    }

    fn done(step: usize) -> Event {
        Event::Done {
            step,
            request: json!(step + 1),
        }
    }

    #[test]
    fn records_in_order_lead_to_the_end() {
        let ended = Event::Ended {
            response: Response::Done,
        };
        let events = [
            began(),
            Event::Started { step: 0 },
            Event::Started { step: 0 },
            done(0),
            Event::Passed { step: 1 },
            ended,
        ];
        let progress = Progress::of(&events).unwrap().unwrap();
        assert_eq!(progress.status, Status::Done);
        assert_eq!(progress.todo(), Todo::Over);
        assert_eq!(progress.request, json!(1));
        assert_eq!(progress.steps[0].starts, 2);
    }

    #[test]
    fn records_that_do_not_fit_are_refused() {
        let mut progress = Progress::begin(&began()).unwrap();
        for wrong in [
            began(),
            done(0),
            done(7),
            Event::Started { step: 1 },
            Event::Undoing { step: 0 },
            Event::Resumed,
            Event::Ended {
                response: Response::Done,
            },
        ] {
            let before = progress.clone();
            let misfit = progress.apply(&wrong).unwrap_err();
            assert_eq!(misfit.event, wrong.as_str());
            assert_eq!(progress, before);
        }
        assert!(Progress::of(&[Event::Resumed]).is_err());
        assert!(Progress::of(&[]).unwrap().is_none());
    }

    #[test]
    fn what_was_done_is_undone_in_reverse() {
        let mut progress = Progress::begin(&began()).unwrap();
        let failed = Event::Failed {
            step: 1,
            undo: true,
            error: vec!["no".to_owned()],
            request: json!(9),
        };
        for event in [
            Event::Started { step: 0 },
            done(0),
            Event::Started { step: 1 },
            failed,
        ] {
            progress.apply(&event).unwrap();
        }
        let undone = |step| Event::Undone {
            step,
            response: Some(Response::fail(format!("{step}"))),
            request: json!(null),
        };
        for step in [1, 0] {
            assert_eq!(progress.todo(), Todo::Undo(step));
            progress.apply(&Event::Undoing { step }).unwrap();
            progress.apply(&undone(step)).unwrap();
        }
        assert_eq!(progress.todo(), Todo::End);
        assert_eq!(progress.answer, Some(Response::fail("1")));
    }
}
