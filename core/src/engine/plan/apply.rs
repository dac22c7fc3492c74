//! Imports a plan: exactly the rows that it names, and nothing if the graph is no longer what it
//! was compared with.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use car_schema::Identity;
use tokio_util::sync::CancellationToken;

use super::file::{Line, PlanFile};
use super::summary::Plan;
use crate::car::CarClient;
use crate::connector::About;
use crate::engine::delivery::Delivery;
use crate::engine::ending::{document, milliseconds, note_calls};
use crate::engine::ledger::Ledger;
use crate::engine::save_point::SavePoint;
use crate::engine::{Options, Run, about, phase::Phase};
use crate::exit::{self, SUCCESS};
use crate::failure::{Failure, FailureKind};
use crate::handler::Batch;
use crate::progress::{Event, Reporter};
use crate::report::{Mode, Outcome, RunReport};
use crate::state::Start;

/// Imports the plan in a file. The data source is not asked for anything.
///
/// # Behaviour
///
/// - Refuses, with nothing written, a plan of another source, connector or version, one that was
///   made with other `settings`, where the caller has them, and one of a graph in which the source
///   changed since.
/// - With a state, takes the lease of the source, and ends an import that was not finished.
/// - May be repeated after it was stopped anywhere: what is done already is done again, to the
///   same graph.
pub async fn apply(
    about: &About,
    (file, settings): (&Path, Option<&str>),
    options: Options,
    car: CarClient,
    reporter: Arc<dyn Reporter>,
    cancel: CancellationToken,
) -> Run {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let started_at = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let mut application = Application {
        about,
        delivery: Delivery::new(car.clone(), Arc::clone(&reporter), options.sends),
        report: RunReport::begun(about, &options.source, started_at),
        options,
        car,
        reporter,
        cancel,
        retired: BTreeMap::new(),
    };
    let began = Instant::now();
    let mut lease = None;
    let result = match application.acquire(&mut lease).await {
        Ok(lost) => tokio::select! {
            result = application.import(file, settings, &mut lease) => result,
            () = lost.cancelled() => Err(lost_lease()),
        },
        Err(failure) => Err(failure),
    };
    application.finish(result, began, lease).await
}

fn lost_lease() -> Failure {
    Failure::new(
        FailureKind::General,
        "another run of the source has taken over",
    )
}

struct Application<'a> {
    about: &'a About,
    options: Options,
    car: CarClient,
    delivery: Delivery,
    reporter: Arc<dyn Reporter>,
    cancel: CancellationToken,
    report: RunReport,
    retired: BTreeMap<String, u64>,
}

impl Application<'_> {
    /// Takes the lease of the source, where there is a state; returns the token that is cancelled
    /// when it is lost.
    async fn acquire(&self, lease: &mut Option<Ledger>) -> Result<CancellationToken, Failure> {
        let Some(state) = &self.options.state else {
            return Ok(CancellationToken::new());
        };
        let ledger = Ledger::acquire(state, &self.options.source, self.about).await?;
        Ok(lease.insert(ledger).lost())
    }

    async fn import(
        &mut self,
        path: &Path,
        settings: Option<&str>,
        lease: &mut Option<Ledger>,
    ) -> Result<Outcome, Failure> {
        self.phase(Phase::Opening);
        let file = PlanFile::open(path)?;
        self.check_origin(&file, settings)?;
        self.report.mode = Some(file.head.mode);
        self.report.why = "a plan says so".to_owned();
        self.report.report = file.head.report.clone().unwrap_or_default();
        self.check_guard(&file.plan)?;
        self.car.prepare_database().await?;
        self.check_graph(&file).await?;
        if let Some(ledger) = lease {
            // What is imported beside an unfinished run is no part of it.
            let start = Start::new(Mode::Incremental, self.report.started_at, None);
            ledger.begin(&start).await?;
        }
        about::bring_extension(&self.car, file.head.extension.as_ref()).await?;
        self.send(&file).await?;
        self.phase(Phase::Saving);
        if let Some(state) = &file.head.next_save_point {
            self.car
                .set_save_point(&self.options.source, Some(state))
                .await?;
            self.report.save_point = Some(SavePoint::state_of(state));
        }
        self.phase(Phase::Done);
        let totals = file.plan.totals();
        Ok(match totals.created | totals.updated | totals.retired {
            0 => Outcome::Unchanged,
            _ => Outcome::Complete,
        })
    }

    /// Fails when the plan is not of this connector and source.
    fn check_origin(&self, file: &PlanFile, settings: Option<&str>) -> Result<(), Failure> {
        let head = &file.head;
        if settings.is_some_and(|settings| settings != head.settings) && !head.settings.is_empty() {
            return Err(Failure::new(
                FailureKind::InvalidParameter,
                "the plan was made with other settings of the connector",
            )
            .hint("make the plan anew, or leave the connector's settings away: they are not needed to import a plan"));
        }
        for (what, theirs, ours) in [
            ("connector", &head.connector, self.about.name),
            (
                "version of the connector",
                &head.version,
                self.about.version,
            ),
            ("source", &head.source, self.options.source.as_str()),
        ] {
            if theirs != ours {
                return Err(Failure::new(
                    FailureKind::InvalidParameter,
                    format!("the plan is of another {what}"),
                )
                .with("planned", theirs)
                .with("now", ours)
                .hint("make the plan anew, or import with what it was made with"));
            }
        }
        Ok(())
    }

    /// Fails when the plan would retire too much.
    fn check_guard(&self, plan: &Plan) -> Result<(), Failure> {
        match super::held(plan, &self.options) {
            Some(held) if !self.options.approve_deletions => Err(held),
            _ => Ok(()),
        }
    }

    /// Fails when the source in the graph is no longer what the plan was compared with, unless
    /// only this plan changed it.
    async fn check_graph(&mut self, file: &PlanFile) -> Result<(), Failure> {
        let now = self.car.source(&self.options.source).await?;
        self.report.save_point = now.save_point.as_deref().map(SavePoint::state_of);
        let before = &file.head.before;
        let untouched = now.known == before.known
            && now.save_point == before.save_point
            && now.report == before.report;
        // A first attempt that was stopped leaves its report, and its save point at the very end.
        let begun = now.report.is_some()
            && now.report == file.head.report
            && (now.save_point == before.save_point || now.save_point == file.head.next_save_point);
        if untouched || begun {
            return Ok(());
        }
        let name = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
        let state = |text: &Option<String>| name(&text.as_deref().map(SavePoint::state_of));
        Err(Failure::new(
            FailureKind::InvalidParameter,
            "the source was imported since the plan was made, so the plan no longer fits the graph",
        )
        .with("planned at report", name(&before.report))
        .with("now at report", name(&now.report))
        .with("planned at save point", state(&before.save_point))
        .with("now at save point", state(&now.save_point))
        .hint("nothing was written; make the plan anew"))
    }

    /// Sends the rows, vertices before edges, and retires what is gone.
    async fn send(&mut self, file: &PlanFile) -> Result<(), Failure> {
        let source = self.options.source.clone();
        if let Some(header) = &file.head.header {
            self.delivery
                .send_header(Bytes::copy_from_slice(header.as_bytes()))
                .await?;
        }
        self.delivery.barrier(&self.cancel).await?;
        self.phase(Phase::Vertices);
        let retire_edges = self.car.features().await?.edge_deletion;
        let mut at = Phase::Vertices;
        let mut lines = file.lines()?;
        while let Some(line) = lines.next_line()? {
            self.check_cancelled()?;
            let next = match &line {
                // Names of edges have an underscore, and names of vertices do not.
                Line::Import { collection, .. } if !collection.contains('_') => Phase::Vertices,
                Line::Import { .. } => Phase::Edges,
                Line::Head(_) => continue,
                Line::RetireVertices { .. }
                | Line::RetireEdges { .. }
                | Line::GoAlong { .. }
                | Line::End { .. } => Phase::Settling,
            };
            if next != at {
                self.delivery.barrier(&self.cancel).await?;
                self.phase(next);
                at = next;
            }
            match line {
                Line::Import {
                    collection,
                    rows,
                    envelope,
                } => {
                    let body = Bytes::from(envelope.get().to_owned());
                    self.delivery
                        .send(Batch {
                            collection,
                            rows,
                            body,
                        })
                        .await?;
                }
                Line::RetireVertices {
                    collection,
                    natural_keys,
                    keys,
                } => {
                    let identity = match natural_keys {
                        true => Identity::Key,
                        false => Identity::ExternalId,
                    };
                    self.car
                        .delete_vertices(&source, &collection, identity, &keys)
                        .await?;
                    self.retired(collection, keys.len() as u64);
                }
                Line::RetireEdges { collection, edges } => {
                    for (from, to) in &edges {
                        self.check_cancelled()?;
                        self.car
                            .delete_edge(&source, &collection, (from, to), retire_edges)
                            .await?;
                    }
                    self.retired(collection, edges.len() as u64);
                }
                Line::GoAlong { collection, rows } => self.retired(collection, rows),
                Line::Head(_) | Line::End { .. } => {}
            }
        }
        self.delivery.barrier(&self.cancel).await
    }

    fn retired(&mut self, collection: String, rows: u64) {
        let count = self.retired.entry(collection).or_default();
        *count = count.saturating_add(rows);
    }

    fn phase(&self, phase: Phase) {
        self.reporter.report(&Event::Phase(phase));
    }

    fn check_cancelled(&self) -> Result<(), Failure> {
        if self.cancel.is_cancelled() {
            return Err(Failure::new(
                FailureKind::Interrupted,
                "stopped by a signal",
            ));
        }
        Ok(())
    }

    async fn finish(
        mut self,
        result: Result<Outcome, Failure>,
        began: Instant,
        lease: Option<Ledger>,
    ) -> Run {
        let failure = match result {
            Ok(outcome) => {
                self.report.outcome = outcome;
                self.report.exit_code = SUCCESS;
                None
            }
            Err(failure) => {
                let failure = match exit::exit_code(failure.kind()) {
                    // Nothing was begun.
                    2 | 12 => failure,
                    _ if self.report.report.is_empty() => failure,
                    _ => {
                        failure.hint("import the same plan again: what is done already stays done")
                    }
                };
                self.report.fail(&failure);
                Some(failure)
            }
        };
        for (collection, rows) in self.delivery.acknowledged() {
            let counts = self.report.collections.entry(collection.clone());
            counts.or_default().sent = *rows;
        }
        for (collection, rows) in std::mem::take(&mut self.retired) {
            self.report
                .collections
                .entry(collection)
                .or_default()
                .retired = rows;
        }
        note_calls(&mut self.report, self.car.stats());
        self.report.duration_ms = milliseconds(began);
        let document = document(&self.report, &self.options.redactor);
        if let Some(ledger) = lease {
            ledger
                .end(&self.report, &document, failure.as_ref(), None)
                .await;
        }
        // A plan that does not fit has no name of a report yet, and changed nothing.
        if !self.report.report.is_empty() && !self.cancel.is_cancelled() {
            let features = self.car.features().await.unwrap_or_default();
            if features.run_reports {
                self.car.report_run(&self.options.source, &document).await;
            }
        }
        Run {
            report: self.report,
            failure,
        }
    }
}
