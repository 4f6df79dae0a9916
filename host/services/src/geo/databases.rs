//! All the databases that the operator names.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use parking_lot::Mutex;

use super::database::{Database, Unreadable};
use super::place::{Place, Record};
use crate::Failure;

/// Which databases there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabasesConfig {
    /// The files. Where two know the same, the first one is believed.
    pub files: Vec<PathBuf>,
    /// How often it is looked whether one has changed, at most.
    pub check_interval: Duration,
}

/// The databases, for all bindings.
#[derive(Debug)]
pub struct Databases {
    source: Source,
    check_interval: Duration,
    /// When it was looked last.
    checked: Mutex<Instant>,
}

#[derive(Debug)]
enum Source {
    Files(Vec<Database>),
    List(Vec<(IpNet, Record)>),
}

impl Databases {
    /// Reads all files.
    ///
    /// # Errors
    /// When one is not there, or is no database; its position among the files, with the reason.
    pub fn open(config: &DatabasesConfig) -> Result<Arc<Self>, (usize, Unreadable)> {
        let open = |(at, path): (usize, &PathBuf)| Database::open(path).map_err(|error| (at, error));
        let files: Result<Vec<_>, _> = config.files.iter().enumerate().map(open).collect();
        let (check_interval, checked) = (config.check_interval, Mutex::new(Instant::now()));
        Ok(Arc::new(Self { source: Source::Files(files?), check_interval, checked }))
    }

    /// Answers from a list instead of files, for rehearsals.
    #[must_use]
    pub fn of_list(list: Vec<(IpNet, Record)>) -> Arc<Self> {
        let (check_interval, checked) = (Duration::MAX, Mutex::new(Instant::now()));
        Arc::new(Self { source: Source::List(list), check_interval, checked })
    }

    /// What is known of an address; nothing when no database has it.
    pub(super) fn lookup(self: &Arc<Self>, ip: IpAddr) -> Result<Option<Place>, Failure> {
        let records: Vec<_> = match &self.source {
            Source::Files(files) => {
                self.refresh_sometimes();
                files.iter().filter_map(|file| file.lookup(ip).transpose()).collect::<Result<_, _>>()?
            }
            Source::List(list) => {
                list.iter().filter(|(net, _)| net.contains(&ip)).map(|(_, record)| record.clone()).collect()
            }
        };
        let place = |mut place: Place, record| {
            place.add(record);
            place
        };
        Ok((!records.is_empty()).then(|| records.into_iter().fold(Place::default(), place)))
    }

    /// Has somebody look after the files, when that is due. Nobody waits for it: this question is answered by what is there.
    fn refresh_sometimes(self: &Arc<Self>) {
        let now = Instant::now();
        let mut checked = self.checked.lock();
        if now.saturating_duration_since(*checked) < self.check_interval {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        *checked = now;
        drop(checked);
        let all = Arc::clone(self);
        runtime.spawn_blocking(move || all.refresh());
    }

    /// Reads the files that have changed.
    pub(super) fn refresh(&self) {
        if let Source::Files(files) = &self.source {
            files.iter().for_each(Database::refresh);
        }
    }
}
