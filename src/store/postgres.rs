//! PostgreSQL (14 or later): one connection of our own, no pool, one statement per batch.
//!
//! A connection is taken out for a call and put back only if its state is known: a time-out, a cancelled call, a
//! FATAL or a fault of the protocol drops it, and with it the adoption. Not here: when to try again, what to do with
//! a batch in doubt (`delivery`).

mod apart;
mod around;
mod connect;
mod own;
pub(super) mod partitions;
mod prepare;
mod series;
mod text;
pub(super) mod timescale;
mod write;

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::time::{Instant, timeout};

pub(super) use self::connect::{Server, connect};
pub(super) use self::prepare::MADE_AHEAD;
use self::prepare::Rules;
use self::write::Kept;
use super::duplicates::Counts;
use super::error::Failure;
use super::hindered::{Hindered, Obstacle};
use super::link::{Gate, Link, Passed, not_adopted, within};
use super::others::{self, Lacking, Settled};
use super::plan::Table;
use super::plan::partitions::BEFORE;
use super::series::{Cache, Made, Resolved, Rows};
use super::{Adopted, Plan, WriteError, Written};
use crate::batch::Batch;
use crate::config::{self, Secret};
use crate::schema::Schema;

/// Of one statement. Longer than `statement_timeout`, so that the server's own word (definite: not stored) comes first.
const LIMIT: Duration = Duration::from_secs(35);
/// For all statements of `prepare`.
const LONG_LIMIT: Duration = Duration::from_secs(60);
pub(super) const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// So often the tables are compared with what was planned: a column whose type somebody changes goes on taking values,
/// by an assignment cast that rounds in silence.
const EXAMINED_EVERY: Duration = Duration::from_secs(60);

/// A writer into PostgreSQL.
pub struct Postgres {
    servers: Vec<Server>,
    writer: String,
    owner: i64,
    /// Whether Amber changes tables itself.
    ddl: bool,
    timescale: config::Timescale,
    link: Link<PgConnection>,
    /// What `prepare` was given last, to plan again when another Amber has changed the tables.
    schema: Option<Schema>,
    tables: Vec<Table>,
    hindered: Hindered,
    series: Cache,
    kept: Kept,
    /// When the tables were last found to be as planned; `None`: not on this connection.
    examined: Option<Instant>,
    /// Whether this connection plans each statement anew.
    plans_anew: bool,
}

impl Postgres {
    /// `urls`: one for each host.
    pub(super) fn new(urls: &[Secret], writer: &str, owner: i64, config: &config::Store) -> Self {
        let servers: Vec<Server> = urls.iter().map(Server::new).collect();
        let user = servers.first().map_or_else(String::new, Server::user);
        Self {
            servers,
            writer: writer.to_owned(),
            owner,
            ddl: config.ddl,
            timescale: config.timescale.clone(),
            link: Link::new(user, config.ddl),
            schema: None,
            tables: Vec::new(),
            hindered: Hindered::default(),
            series: Cache::default(),
            kept: Kept::default(),
            examined: None,
            plans_anew: false,
        }
    }

    fn rules(&self) -> Rules<'_> {
        Rules { ddl: self.ddl, timescale: &self.timescale }
    }

    pub(super) fn is_adopted(&self) -> bool {
        self.link.epoch().is_some()
    }

    pub(super) async fn close(&mut self) {
        if let Some(connection) = self.link.end() {
            // Whether the server hears the farewell does not matter.
            drop(timeout(CLOSE_LIMIT, connection.close()).await);
        }
    }

    pub(super) async fn plan(&mut self, schema: &Schema) -> Result<Plan, WriteError> {
        self.look(schema).await.map(|(plan, _)| plan)
    }

    /// What is to be done, and the tables as they would be then.
    async fn look(&mut self, schema: &Schema) -> Result<(Plan, Vec<Table>), WriteError> {
        let mut connection = self.take().await?;
        let outcome =
            within(LIMIT, prepare::plan(&mut connection, schema, self.rules())).await.map_err(Failure::rowless);
        self.link.give_back(connection, outcome, false)
    }

    pub(super) async fn prepare(&mut self, schema: &Schema) -> Result<(), WriteError> {
        let is_other = self.schema.as_ref() != Some(schema);
        self.prepare_with(schema, &Lacking::new()).await?;
        if is_other {
            // By position.
            self.hindered = Hindered::default();
        }
        Ok(())
    }

    /// Adds columns that appear by themselves, too. If they alone are in the way it says why, and the tables are as they
    /// were.
    async fn prepare_with(
        &mut self,
        schema: &Schema,
        new: &Lacking,
    ) -> Result<Option<(Obstacle, Failure)>, WriteError> {
        let mut connection = self.take().await?;
        let outcome = within(LONG_LIMIT, prepare::prepare(&mut connection, schema, new, self.rules())).await;
        let outcome = outcome.map_err(|failure| failure.context("cannot prepare the tables"));
        if !new.is_empty()
            && let Err(failure) = &outcome
            && let Some(obstacle) = self.link.obstacle(failure)
        {
            return self.link.give_back(connection, Ok(outcome.err().map(|failure| (obstacle, failure))), false);
        }
        let (tables, is_anew) = self.link.give_back(connection, outcome, false)?;
        self.tables = tables;
        if is_anew {
            self.link.made_anew();
        }
        self.series.clear(self.tables.len());
        self.kept.clear();
        self.schema = Some(schema.clone());
        self.link.planned();
        self.examined = Some(Instant::now());
        Ok(None)
    }

    pub(super) async fn adopt(&mut self) -> Result<Adopted, WriteError> {
        let mut connection = self.take().await?;
        let before = self.link.adopted_before();
        let outcome = within(LIMIT, adopt(&mut connection, &self.writer, self.owner, before)).await;
        self.link.adopted(connection, outcome)
    }

    pub(super) async fn write(&mut self, batch: &Batch, number: i64, packets: &[u8]) -> Result<Written, WriteError> {
        match self.try_write(batch, number, packets).await {
            // A partition was dropped in between, or the table was partitioned.
            Err(WriteError::Standing(why)) if self.link.is_outdated() => {
                let why = format!("{why:#}");
                if why.contains(BEFORE) {
                    self.let_go().await?;
                }
                tracing::info!(why, "the plan of the tables is made anew");
                self.try_write(batch, number, packets).await
            }
            written => written,
        }
    }

    async fn try_write(&mut self, batch: &Batch, number: i64, packets: &[u8]) -> Result<Written, WriteError> {
        let epoch = self.adopted()?;
        let mut resolved = self.resolve(batch).await?;
        if let Some((_, why)) = resolved.refused.first() {
            return Err(WriteError::Refused(anyhow::anyhow!("{}", why.reason)));
        }
        let mut connection = self.take().await?;
        let gate = Gate { writer: &self.writer, epoch, owner: self.owner, last: self.link.last(), number, packets };
        let mut sent = false;
        let (tables, kept) = (&self.tables, &mut self.kept);
        let rows = Rows { batch, series: &resolved.ids, others: &resolved.others, tables };
        let mut duplicates = Counts::new();
        let outcome = write::write(&mut connection, gate, tables, kept, rows, (&mut duplicates, &mut sent)).await;
        let outcome = self.of_own_tables(outcome);
        let passed = self.link.passed(connection, outcome, sent);
        resolved.duplicates = duplicates;
        let counts = self.link.wrote(number, passed, resolved.into_written(batch));
        let is_unique =
            |measurement: usize| self.tables.get(measurement).is_some_and(|table| table.on_duplicate.is_unique());
        if counts.is_err() && batch.rows.iter().any(|(_, row)| is_unique(row.measurement)) {
            // How many rows were there already, only the answer would have told.
            drop(self.link.take_doubtful());
        }
        counts
    }

    pub(super) async fn write_apart(
        &mut self,
        batch: &Batch,
        number: i64,
        packets: &[u8],
    ) -> Result<Written, WriteError> {
        let epoch = self.adopted()?;
        let mut resolved = self.resolve(batch).await?;
        let mut connection = self.take().await?;
        let gate = Gate { writer: &self.writer, epoch, owner: self.owner, last: self.link.last(), number, packets };
        let mut sent = false;
        let (tables, kept) = (&self.tables, &mut self.kept);
        let outcome = apart::write(&mut connection, gate, tables, kept, (batch, &mut resolved), &mut sent).await;
        let outcome = self.of_own_tables(outcome);
        let passed = self.link.passed(connection, outcome, sent);
        self.link.wrote(number, passed, resolved.into_written(batch))
    }

    fn of_own_tables<T>(&self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        let some_are_own = self.tables.iter().any(|table| table.own.is_some());
        outcome.map_err(|failure| if some_are_own { failure.with_own_tables() } else { failure })
    }

    pub(super) fn take_doubtful(&mut self) -> Option<Written> {
        self.link.take_doubtful()
    }

    pub(super) async fn write_ledger(&mut self, packets: &[u8]) -> Result<(), WriteError> {
        let epoch = self.adopted()?;
        let text = "update amber_store.delivery set packets = $3, updated_at = now()
             where writer = $1 and epoch = $2 and seq = $4 and owner = $5";
        let query = sqlx::query(text)
            .bind(self.writer.clone())
            .bind(epoch)
            .bind(packets)
            .bind(self.link.last())
            .bind(self.owner);
        self.update_row(query).await
    }

    pub(super) async fn write_filters(&mut self, filters: &str) -> Result<(), WriteError> {
        let epoch = self.adopted()?;
        let text = "update amber_store.delivery set filters = $3, updated_at = now()
             where writer = $1 and epoch = $2 and seq = $4 and owner = $5";
        let query = sqlx::query(text)
            .bind(self.writer.clone())
            .bind(epoch)
            .bind(filters)
            .bind(self.link.last())
            .bind(self.owner);
        self.update_row(query).await
    }

    pub(super) async fn ask(&mut self) -> Result<(), WriteError> {
        let epoch = self.adopted()?;
        let mut connection = self.take().await?;
        let outcome = within(LIMIT, async {
            let query = sqlx::query(
                "select 1 from amber_store.delivery where writer = $1 and epoch = $2 and seq = $3 and owner = $4",
            );
            let query = query.bind(self.writer.clone()).bind(epoch).bind(self.link.last()).bind(self.owner);
            let found = query.fetch_optional(&mut connection).await;
            let found = found.map_err(|error| Failure::from(error).rowless())?;
            Ok(if found.is_some() { Passed::Stored } else { Passed::Fenced })
        });
        let outcome = outcome.await;
        self.link.passed(connection, outcome, false)
    }

    /// Runs an update of the writer's row; none updated is fenced.
    async fn update_row(
        &mut self,
        query: sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments>,
    ) -> Result<(), WriteError> {
        let mut connection = self.take().await?;
        let outcome = within(LIMIT, async {
            let done = query.execute(&mut connection).await.map_err(|error| Failure::from(error).rowless())?;
            Ok(if done.rows_affected() == 1 { Passed::Stored } else { Passed::Fenced })
        });
        let outcome = outcome.await;
        self.link.passed(connection, outcome, false)
    }

    /// The epoch, or why nothing can be written now.
    fn adopted(&self) -> Result<i64, WriteError> {
        let places: Vec<&str> = self.servers.iter().map(Server::place).collect();
        self.link.epoch().ok_or_else(|| not_adopted(&format!("PostgreSQL at {}", places.join(", "))))
    }

    /// Looks whether the tables are as planned, now and then and on every new connection.
    async fn examine(&mut self) -> Result<(), WriteError> {
        if self.examined.is_some_and(|last| last.elapsed() < EXAMINED_EVERY) {
            return Ok(());
        }
        let Some(schema) = self.schema.clone() else { return Ok(()) };
        let (plan, tables) = self.look(&schema).await?;
        // A column that no mapping lists may have another type now, or be gone.
        // And a table that was plain may be partitioned.
        let is_other = |(now, then): (&Table, &Table)| {
            now.others != then.others
                || now.fields != then.fields
                || now.partitions.is_some() != then.partitions.is_some()
        };
        if !plan.is_empty() {
            self.link.made_anew();
        }
        if !plan.is_empty() || tables.iter().zip(&self.tables).any(is_other) {
            self.link.changed();
        }
        self.examined = Some(Instant::now());
        Ok(())
    }

    pub(super) fn take_anew(&mut self) -> bool {
        self.link.take_anew()
    }

    /// The series of all rows; new ones are made. If another Amber has added a tag meanwhile, the plan is made anew.
    async fn resolve(&mut self, batch: &Batch) -> Result<Resolved, WriteError> {
        match self.try_resolve(batch).await {
            Err(WriteError::Standing(why)) if self.link.is_outdated() => {
                tracing::info!(why = format!("{why:#}"), "the plan of the tables is made anew");
                self.try_resolve(batch).await
            }
            resolved => resolved,
        }
    }

    pub(super) async fn keep_up(&mut self) -> Result<(), WriteError> {
        self.adopted()?;
        self.examine().await?;
        if self.link.is_stale()
            && let Some(schema) = self.schema.clone()
        {
            self.prepare(&schema).await?;
        }
        Ok(())
    }

    async fn try_resolve(&mut self, batch: &Batch) -> Result<Resolved, WriteError> {
        self.keep_up().await?;
        let others = self.settle(batch).await?;
        self.make_partitions(batch).await?;
        self.plan_anew().await?;
        let misses = self.series.misses(batch, &self.tables);
        let mut made = Made::default();
        if !misses.is_empty() {
            let mut connection = self.take().await?;
            let outcome = series::make(&mut connection, &self.tables, &misses).await;
            made = self.link.give_back(connection, outcome, false)?;
        }
        let mut resolved = Resolved { others, ..self.series.resolve(batch, &self.tables, made)? };
        let homeless = partitions::refused(batch, &self.tables);
        if !homeless.is_empty() {
            resolved.refused.extend(homeless);
            resolved.refused.sort_by_key(|(position, _)| *position);
            resolved.refused.dedup_by_key(|(position, _)| *position);
        }
        Ok(resolved)
    }

    /// Partitions for all times, as far as they may be made.
    async fn make_partitions(&mut self, batch: &Batch) -> Result<(), WriteError> {
        for (measurement, times) in partitions::lacking(batch, &self.tables) {
            let retention = self.schema.as_ref().and_then(|schema| schema.measurements.get(measurement)?.retention);
            let name = self.tables[measurement].name.clone();
            let mut connection = self.take().await?;
            let outcome = partitions::make(&mut connection, &name, retention, &times, self.ddl).await;
            self.tables[measurement].partitions = self.link.give_back(connection, outcome, false)?;
        }
        Ok(())
    }

    /// Takes the constraints back that keep rows of later times out of tables that are about to be partitioned: that is tried
    /// again, and the row is stored now.
    async fn let_go(&mut self) -> Result<(), WriteError> {
        let tables: Vec<String> = self.tables.iter().map(|table| format!("{}_data", table.name)).collect();
        let mut connection = self.take().await?;
        let outcome = partitions::let_go(&mut connection, &tables, self.ddl).await.map_err(Failure::rowless);
        self.link.give_back(connection, outcome, false)
    }

    /// A plan for all times has all partitions in it, and each use of it locks them all: where duplicates are looked for, a
    /// statement is planned for its own times.
    async fn plan_anew(&mut self) -> Result<(), WriteError> {
        let is_needed = |table: &Table| table.on_duplicate.is_unique() && table.partitions.is_some();
        if self.plans_anew || !self.tables.iter().any(is_needed) {
            return Ok(());
        }
        let mut connection = self.take().await?;
        let outcome = command(&mut connection, "set plan_cache_mode = force_custom_plan").await;
        self.plans_anew = outcome.is_ok();
        self.link.give_back(connection, outcome.map_err(Failure::rowless), false)
    }

    /// Columns for all values that no field names; new ones are added.
    async fn settle(&mut self, batch: &Batch) -> Result<Settled, WriteError> {
        if self.ddl {
            self.add_columns(others::lacking(batch, &self.tables)).await?;
        }
        others::settle(batch, &self.tables, &self.hindered, self.ddl)
    }

    /// Adds what can be added; waits (`Away`) where that may still become possible.
    async fn add_columns(&mut self, lacking: Lacking) -> Result<(), WriteError> {
        let lacking = self.hindered.without(lacking, Instant::now());
        let Some(schema) = self.schema.clone().filter(|_| !lacking.is_empty()) else { return Ok(()) };
        let (mut tries, mut waits) = (vec![lacking], None);
        while let Some(lacking) = tries.pop() {
            let begun = Instant::now();
            let Some((obstacle, failure)) = self.prepare_with(&schema, &lacking).await? else {
                self.hindered.added(&lacking);
                continue;
            };
            let mut measurements = lacking.keys();
            match (measurements.next(), measurements.next()) {
                (Some(only), None) => {
                    if !self.hindered.met(*only, obstacle, begun, Instant::now()) {
                        waits = Some(failure);
                    }
                }
                // Whose the obstacle is, each of them tells alone.
                _ => tries.extend(lacking.into_iter().map(|one| Lacking::from([one]))),
            }
        }
        waits.map_or(Ok(()), |failure| Err(self.link.failed(failure, false)))
    }

    /// The connection, made if there is none. Whoever takes it gives it back, or it is dropped.
    async fn take(&mut self) -> Result<PgConnection, WriteError> {
        if let Some(connection) = self.link.take() {
            return Ok(connection);
        }
        self.series.clear(self.tables.len());
        (self.examined, self.plans_anew) = (None, false);
        connect(&self.servers).await.map_err(|failure| self.link.failed(failure, false))
    }
}

/// A statement without parameters or answer, or several.
pub(super) async fn command(connection: &mut PgConnection, text: &str) -> Result<(), Failure> {
    answered(sqlx::raw_sql(AssertSqlSafe(text)).execute(connection)).await?;
    Ok(())
}

/// The answer to one statement, within its limit.
pub(super) async fn answered<T>(statement: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Failure> {
    within(LIMIT, async { Ok(statement.await?) }).await
}

/// Ends a transaction that failed. If even that fails, the connection is lost, and the transaction with it.
async fn roll_back(connection: &mut PgConnection, mut failure: Failure) -> Failure {
    if !failure.lost && command(connection, "rollback").await.is_err() {
        failure.lost = true;
    }
    failure
}

/// Takes the writer's row: waits for a transaction that holds it, and shuts out the statements of older connections.
/// `before`: the epoch of this process's last adoption. `None`: another process has taken it since.
///
/// Epochs only grow, so that a row with an older one is a backup's, whoever owned it then: it is taken, and the epochs go
/// on from ours, because statements of ours may still be on their way. A process begins with one that no backup can
/// lead it below: by the server's clock, in microseconds. Else who starts on a backup would get a number that an Amber
/// that lived through the restore has passed, and lose the row to it.
async fn adopt(
    connection: &mut PgConnection,
    writer: &str,
    owner: i64,
    before: Option<i64>,
) -> Result<Option<Adopted>, Failure> {
    let text = if before.is_some() {
        "update amber_store.delivery as d set owner = $2, epoch = greatest(epoch, $3) + 1, updated_at = now()
         where writer = $1 and (owner = $2 or epoch < $3)
         returning d.epoch, d.seq, d.packets, d.filters, (select id::text from amber_store.instance)"
    } else {
        "insert into amber_store.delivery as d (writer, owner, epoch) values ($1, $2, greatest($3, (extract(epoch from clock_timestamp()) * 1000000)::int8) + 1)
         on conflict (writer) do update
           set owner = excluded.owner, epoch = greatest(d.epoch + 1, excluded.epoch), updated_at = now()
         returning d.epoch, d.seq, d.packets, d.filters, (select id::text from amber_store.instance)"
    };
    let row: Option<(i64, i64, Vec<u8>, String, String)> = sqlx::query_as(text)
        .bind(writer)
        .bind(owner)
        .bind(before)
        .fetch_optional(&mut *connection)
        .await
        .map_err(|error| Failure::from(error).rowless())?;
    if row.is_none() {
        let found = sqlx::query("select from amber_store.delivery where writer = $1").bind(writer);
        if found.fetch_optional(connection).await?.is_none() {
            return Err(Failure::ledger_gone("it has no row for this writer"));
        }
    }
    Ok(row.map(|(epoch, seq, packets, filters, instance)| Adopted { epoch, seq, packets, filters, instance }))
}
