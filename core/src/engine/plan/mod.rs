//! Plans: what an import would do, told before it is done, and done later exactly as told.

mod apply;
mod file;
mod gone;
mod ledger;
mod rehearsal;
mod summary;

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::save_point::SavePoint;
use super::{ChangedOnly, Options, about, guard, run};
use crate::car::{CarCall, CarClient};
use crate::connector::{About, Connector};
use crate::failure::{Failure, FailureKind};
use crate::progress::Reporter;
use crate::report::{Mode, RunReport};
use file::{Head, PlanWriter};
use gone::{Finder, Question};
use ledger::{Change, Ledger};
use rehearsal::{Rehearsal, State};
use summary::FORMAT;

pub use apply::apply;
pub use summary::{Cost, Plan, PlannedRows, Samples, UpdatedRow};

/// How a plan is made.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// File for the plan, to be imported later.
    pub out: Option<PathBuf>,
    /// Most samples of each kind in each collection.
    pub samples: usize,
    /// Hash of the settings that decide what is read.
    pub settings: String,
}

/// What came of planning.
#[derive(Debug)]
pub struct Planned {
    /// What an import would do, as far as that was found out.
    pub plan: Plan,
    /// Why the import would not do all that it was asked to, or why there is no plan.
    pub failure: Option<Failure>,
}

/// Runs everything of an import but the writes, and tells what they would do.
///
/// Memory holds an identity of 8 to 16 bytes for each row of the source; rows that would change
/// the graph are put aside on disk.
pub async fn plan<C: Connector>(
    connector: Arc<C>,
    options: Options,
    plan_options: PlanOptions,
    car: CarClient,
    reporter: Arc<dyn Reporter>,
    cancel: CancellationToken,
) -> Planned {
    let about = C::about();
    let mut plan = Plan {
        format: FORMAT,
        connector: about.name.to_owned(),
        version: about.version.to_owned(),
        source: options.source.clone(),
        ..Plan::default()
    };
    let job = Job {
        about,
        options,
        plan_options,
        car,
    };
    let failure = job.make(connector, &mut plan, reporter, cancel).await.err();
    Planned { plan, failure }
}

struct Job {
    about: About,
    options: Options,
    plan_options: PlanOptions,
    car: CarClient,
}

impl Job {
    async fn make<C: Connector>(
        &self,
        connector: Arc<C>,
        plan: &mut Plan,
        reporter: Arc<dyn Reporter>,
        cancel: CancellationToken,
    ) -> Result<(), Failure> {
        let features = self.car.features().await?;
        plan.compared = features.compare;
        if !features.compare && self.plan_options.out.is_some() {
            return Err(Failure::new(
                FailureKind::InvalidParameter,
                "the CAR service cannot compare rows with the graph, so there is no plan to write",
            )
            .hint("leave `--out` away to see how many rows an import would send"));
        }
        // Refused now and not after hours of reading.
        let out = PlanWriter::new(self.plan_options.out.as_deref())?;
        let model = about::model(&self.about)?;
        let ledger = Ledger::new(model, self.options.spill_folder.clone());
        let rehearsal = Arc::new(Rehearsal::new(self.car.clone(), features, ledger));
        let calls: Arc<dyn CarCall> = Arc::clone(&rehearsal) as _;
        let options = Options {
            // The comparison tells it, for every row.
            changed_only: ChangedOnly::Never,
            ..self.options.clone()
        };
        let run = run(
            connector,
            options,
            self.car.through(calls),
            reporter,
            cancel,
        )
        .await;
        let finished = self
            .finish(&rehearsal, &run.report, run.failure, plan, out)
            .await;
        finished.map_err(|failure| match failure.kind() {
            FailureKind::Held | FailureKind::Partial => failure,
            _ => failure.wrap("the plan could not be made"),
        })
    }

    /// Completes the plan with what the import would have done.
    async fn finish(
        &self,
        rehearsal: &Rehearsal,
        report: &RunReport,
        failure: Option<Failure>,
        plan: &mut Plan,
        mut out: PlanWriter,
    ) -> Result<(), Failure> {
        // The import is over: nobody else has the state any more.
        let mut state = rehearsal.take();
        plan.mode = report.mode;
        plan.why.clone_from(&report.why);
        plan.import = state.cost;
        let state_of = |text: &Option<String>| text.as_deref().map(SavePoint::state_of);
        plan.save_point = state_of(&state.before.save_point);
        plan.next_save_point = state_of(&state.save_point);
        plan.notes = notes(&state);
        plan.complete = failure.is_none();
        self.write_head(&state, plan, &mut out)?;
        if plan.compared {
            self.changes(&mut state, plan, &mut out)?;
        }
        for (collection, sent) in state.ledger.counts() {
            let rows = plan.collections.entry(collection.clone()).or_default();
            rows.sent = sent;
            if plan.compared {
                let other = rows.created.saturating_add(rows.updated);
                rows.unchanged = sent.saturating_sub(other);
            }
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        if !plan.compared {
            return Ok(());
        }
        if state.before.known && !state.database_made {
            let question = match plan.mode {
                Some(Mode::Full) => Question::AllBut(std::mem::take(&mut state.kept)),
                _ => Question::These(std::mem::take(&mut state.deleted)),
            };
            let samples = self.plan_options.samples;
            Finder::new(
                &self.car,
                &self.options.source,
                &state.ledger,
                question,
                samples,
            )
            .find(&state.collections, plan, &mut out)
            .await?;
        }
        if let Some(header) = &state.header {
            out.call(header.len().saturating_add(1));
        }
        if let Some(extension) = &state.extension {
            out.call(serde_json::to_vec(extension).map_or(0, |body| body.len()));
        }
        if let Some(state) = &state.save_point {
            out.call(json!({ "model_state_id": state }).to_string().len());
        }
        plan.apply = Some(out.cost()?);
        let held = held(plan, &self.options);
        if let Some(held) = &held {
            plan.held = vec![held.to_string()];
        }
        if plan.complete {
            out.end(plan)?;
        }
        match held.filter(|_| !self.options.approve_deletions) {
            Some(held) => Err(held),
            None => Ok(()),
        }
    }

    fn write_head(&self, state: &State, plan: &Plan, out: &mut PlanWriter) -> Result<(), Failure> {
        let head = Head {
            format: FORMAT,
            connector: plan.connector.clone(),
            version: plan.version.clone(),
            source: plan.source.clone(),
            mode: plan.mode.unwrap_or(Mode::Full),
            settings: self.plan_options.settings.clone(),
            before: state.before.clone(),
            report: state.report.clone(),
            header: state
                .header
                .as_ref()
                .map(|header| format!("{header}}}").into_boxed_str()),
            next_save_point: state.save_point.clone(),
            extension: state.extension.clone(),
        };
        out.write(&file::Line::Head(Box::new(head)))
    }

    /// Goes through the rows that would change the graph.
    fn changes(
        &self,
        state: &mut State,
        plan: &mut Plan,
        out: &mut PlanWriter,
    ) -> Result<(), Failure> {
        let samples = self.plan_options.samples;
        state.ledger.changes(|change| {
            let Change {
                counts,
                header,
                collection,
                fields,
                json,
                name,
            } = change;
            out.import(header, collection, json)?;
            if !counts {
                return Ok(());
            }
            let rows = plan.collections.entry(collection.to_owned()).or_default();
            match fields {
                None => {
                    rows.created = rows.created.saturating_add(1);
                    if rows.samples.created.len() < samples {
                        rows.samples.created.push(name.text());
                    }
                }
                Some(fields) => {
                    rows.updated = rows.updated.saturating_add(1);
                    for field in fields.keys() {
                        let count = rows.fields.entry(field.clone()).or_default();
                        *count = count.saturating_add(1);
                    }
                    if rows.samples.updated.len() < samples {
                        rows.samples.updated.push(UpdatedRow {
                            row: name.text(),
                            fields,
                        });
                    }
                }
            }
            Ok(())
        })
    }
}

/// Returns why the guard would hold the import.
fn held(plan: &Plan, options: &Options) -> Option<Failure> {
    if plan.mode != Some(Mode::Full) {
        return None;
    }
    let totals = plan.totals();
    if plan.complete && totals.sent == 0 && totals.retired > 0 {
        return Some(guard::empty());
    }
    let (staying, going) = plan.weighed();
    let excessive = guard::excessive(&staying, &going, options.max_deletions);
    (!excessive.is_empty()).then(|| guard::held(&excessive, options.max_deletions))
}

/// Says what an import would do besides sending and retiring rows.
fn notes(state: &State) -> Vec<String> {
    let mut notes = Vec::new();
    if state.database_made {
        notes.push("the service's database would be set up first".to_owned());
    }
    if let Some(extension) = &state.extension {
        notes.push(format!(
            "version {} of the connector's schema extension would be uploaded first; until then its fields compare as custom properties",
            extension.version
        ));
    }
    if !state.before.known {
        notes.push("the graph does not know the source yet, so everything is new".to_owned());
    }
    notes
}
