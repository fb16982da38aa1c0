//! The write thread: from batches into files, and files into view.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use flow_common::layout::Slot;

use crate::facts::Tables;
use crate::flow::FlowBatch;
use crate::metrics::Metrics;
use crate::writer::{Content, SlotFacts, SlotFile, Store, WriteError};

/// What the decoder hands to the writer.
pub(super) enum ToWriter {
    Batch {
        slot: Slot,
        content: Content,
        batch: FlowBatch,
    },
    Close(SlotFacts),
    /// Records for a file of their own: their slot is closed already.
    Late {
        slot: Slot,
        flows: FlowBatch,
        options: FlowBatch,
        facts: SlotFacts,
    },
    /// The decoder's state, encoded.
    State(Vec<u8>),
    /// What exporters said about themselves, all of it.
    Tables(Box<Tables>),
}

/// The write thread.
pub(super) struct Writing {
    store: Store,
    metrics: Arc<Metrics>,
    flows: Option<SlotFile>,
    options: Option<SlotFile>,
    failure: Option<String>,
}

impl Writing {
    pub(super) fn new(store: Store, metrics: Arc<Metrics>) -> Self {
        Self { store, metrics, flows: None, options: None, failure: None }
    }

    pub(super) fn run(mut self, batches: &Receiver<ToWriter>) -> Result<(), String> {
        for message in batches {
            match message {
                ToWriter::Batch { slot, content, batch } => self.batch(slot, content, batch),
                ToWriter::Close(facts) => {
                    self.close(Content::Flows, facts);
                    self.close(Content::Options, SlotFacts::default());
                }
                ToWriter::Late { slot, flows, options, facts } => self.late(slot, flows, options, facts),
                ToWriter::State(bytes) => {
                    if let Err(error) = self.store.save_state(&bytes) {
                        self.metrics.file_errors.add(1);
                        tracing::error!("{error}; after a restart templates must be sent again");
                    }
                }
                ToWriter::Tables(tables) => self.tables(&tables),
            }
        }
        self.failure.map_or(Ok(()), Err)
    }

    fn tables(&self, tables: &Tables) {
        let Tables { names, rates, reports } = tables;
        let saved =
            [self.store.save_table(names), self.store.save_table(rates), self.store.save_table(reports)];
        for error in saved.into_iter().filter_map(Result::err) {
            self.metrics.file_errors.add(1);
            tracing::error!("{error}; names and rates told since are not stored");
        }
    }

    fn file(&mut self, content: Content) -> &mut Option<SlotFile> {
        match content {
            Content::Flows => &mut self.flows,
            Content::Options => &mut self.options,
        }
    }

    fn batch(&mut self, slot: Slot, content: Content, batch: FlowBatch) {
        let rows = batch.rows() as u64;
        let file = match self.file(content).take() {
            Some(file) => Ok(file),
            None => self.store.create(slot, content),
        };
        match file {
            Ok(mut file) => match file.write(batch) {
                Ok(()) => *self.file(content) = Some(file),
                Err(error) => {
                    self.discard(content, rows + file.rows(), &error);
                    file.abandon();
                }
            },
            Err(error) => self.discard(content, rows, &error),
        }
    }

    fn late(&mut self, slot: Slot, flows: FlowBatch, options: FlowBatch, facts: SlotFacts) {
        let open = (self.flows.take(), self.options.take());
        for (content, batch, facts) in
            [(Content::Flows, flows, facts), (Content::Options, options, SlotFacts::default())]
        {
            if !batch.is_empty() {
                self.batch(slot, content, batch);
                self.close(content, facts);
            }
        }
        (self.flows, self.options) = open;
    }

    fn close(&mut self, content: Content, facts: SlotFacts) {
        let Some(file) = self.file(content).take() else { return };
        let rows = file.rows();
        match self.store.publish(file, facts) {
            Ok(path) => {
                let (visible, in_flight) = match content {
                    Content::Flows => (&self.metrics.records_visible, &self.metrics.records_in_flight),
                    Content::Options => (&self.metrics.options_visible, &self.metrics.options_in_flight),
                };
                visible.add(rows);
                in_flight.subtract(rows);
                self.metrics.files_visible.add(1);
                tracing::info!("{}: {rows} records", path.display());
            }
            Err(error) => self.discard(content, rows, &error),
        }
    }

    fn discard(&mut self, content: Content, rows: u64, error: &WriteError) {
        let (discarded, in_flight) = match content {
            Content::Flows => (&self.metrics.records_discarded_write_failed, &self.metrics.records_in_flight),
            Content::Options => {
                (&self.metrics.options_discarded_write_failed, &self.metrics.options_in_flight)
            }
        };
        discarded.add(rows);
        in_flight.subtract(rows);
        self.metrics.file_errors.add(1);
        tracing::error!("{error}; {rows} records are lost");
        self.failure.get_or_insert_with(|| error.to_string());
    }
}
