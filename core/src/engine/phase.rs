//! The phases of a run as a pure transition function.
//!
//! The engine records what happened as [`Step`]s; this module alone says which step may follow
//! which. A step out of order is a defect of the engine and stops the run before it can do harm:
//! a session is never settled before the last edge is acknowledged, whatever the code around it
//! does.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::report::Mode;

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Talking to the service, choosing the mode.
    Opening,
    /// The save point is cleared, the full-import session being opened.
    Preparing,
    /// Vertices are read and sent, edges put aside.
    Vertices,
    /// All vertices are acknowledged; edges are sent.
    Edges,
    /// Everything is acknowledged; what is gone is being retired.
    Settling,
    /// The graph is right; the save point is being written.
    Saving,
    /// Nothing is left to do.
    Done,
}

impl Phase {
    /// Returns the word for it, as the report and the metrics use it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Preparing => "preparing",
            Self::Vertices => "vertices",
            Self::Edges => "edges",
            Self::Settling => "settling",
            Self::Saving => "saving",
            Self::Done => "done",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The mode was chosen.
    Chosen(Mode),
    /// The source turned out to be unable to tell what changed. Vertices of earlier pages may be
    /// in the graph; the full import that follows brings them again.
    DeltaNotPossible,
    /// The delta mended vertices without the edges that were withheld for them, which only a full
    /// import brings.
    DeltaNotEnough,
    /// The save point is cleared and the session is open.
    SessionOpened,
    /// Every vertex is acknowledged.
    VerticesAcknowledged,
    /// Every edge is acknowledged.
    EdgesAcknowledged,
    /// What is gone was retired.
    Settled,
    /// The save point is written.
    Saved,
}

/// A step that may not follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("step {step:?} is not possible in phase {phase:?}")]
pub struct IllegalStep {
    /// Where the run was.
    pub phase: Phase,
    /// What was recorded.
    pub step: Step,
}

impl Phase {
    /// Returns the phase after a step.
    ///
    /// # Errors
    ///
    /// When the step may not happen in this phase.
    pub const fn after(self, step: Step) -> Result<Self, IllegalStep> {
        Ok(match (self, step) {
            (Self::Opening, Step::Chosen(Mode::Full)) => Self::Preparing,
            (Self::Opening, Step::Chosen(Mode::Incremental)) => Self::Vertices,
            (Self::Vertices, Step::DeltaNotPossible) => Self::Preparing,
            (Self::Settling, Step::DeltaNotEnough) => Self::Preparing,
            (Self::Preparing, Step::SessionOpened) => Self::Vertices,
            (Self::Vertices, Step::VerticesAcknowledged) => Self::Edges,
            (Self::Edges, Step::EdgesAcknowledged) => Self::Settling,
            (Self::Settling, Step::Settled) => Self::Saving,
            (Self::Saving, Step::Saved) => Self::Done,
            (phase, step) => return Err(IllegalStep { phase, step }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASES: [Phase; 7] = [
        Phase::Opening,
        Phase::Preparing,
        Phase::Vertices,
        Phase::Edges,
        Phase::Settling,
        Phase::Saving,
        Phase::Done,
    ];

    const STEPS: [Step; 9] = [
        Step::Chosen(Mode::Full),
        Step::Chosen(Mode::Incremental),
        Step::DeltaNotPossible,
        Step::DeltaNotEnough,
        Step::SessionOpened,
        Step::VerticesAcknowledged,
        Step::EdgesAcknowledged,
        Step::Settled,
        Step::Saved,
    ];

    #[test]
    fn only_nine_steps_are_legal() {
        let legal: Vec<(Phase, Step)> = PHASES
            .into_iter()
            .flat_map(|phase| STEPS.into_iter().map(move |step| (phase, step)))
            .filter(|(phase, step)| phase.after(*step).is_ok())
            .collect();
        assert_eq!(legal.len(), 9, "{legal:?}");
    }

    #[test]
    fn settling_needs_acknowledged_edges() {
        for phase in PHASES {
            for step in STEPS {
                if phase.after(step) == Ok(Phase::Settling) {
                    assert_eq!(step, Step::EdgesAcknowledged);
                }
            }
        }
    }

    #[test]
    fn an_illegal_step_names_phase_and_step() {
        let error = Phase::Vertices.after(Step::Settled).unwrap_err();
        assert_eq!(
            error.to_string(),
            "step Settled is not possible in phase Vertices"
        );
    }
}
