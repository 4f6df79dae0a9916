//! A disk that is easily full.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::programs::{command, here, not_told, run};

/// For `mount` and `umount`.
const PATIENCE: Duration = Duration::from_secs(20);

/// A file system in memory, of a few megabytes, mounted until it is dropped.
pub(crate) struct SmallDisk {
    place: PathBuf,
}

impl SmallDisk {
    /// Mounts one, and makes the directory for it. None, said loudly, when this machine does not let us.
    pub(crate) fn mount(place: &Path, octets: usize) -> Option<Self> {
        if !here(&["mount", "umount"]) {
            return None;
        }
        fs::create_dir_all(place).expect("the directory can be made");
        let mut mount = command("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={octets}"), "tmpfs"]).arg(place);
        let mounted = run(&mut mount, b"", PATIENCE);
        let why = || format!("mounting a tmpfs needs the right to (CAP_SYS_ADMIN): {}", mounted.stderr.trim());
        (mounted.status.success() || not_told(&why())).then(|| Self { place: place.to_owned() })
    }

    /// Leaves not one octet.
    pub(crate) fn fill(&self) {
        let mut file = File::create(self.filler()).expect("there is room for a name");
        while file.write(&[0; 4096]).is_ok_and(|octets| octets > 0) {}
    }

    /// Gives back what [`SmallDisk::fill`] took.
    pub(crate) fn clear(&self) {
        fs::remove_file(self.filler()).expect("it was filled");
    }

    fn filler(&self) -> PathBuf {
        self.place.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server may still have files open there.
        let _ = run(command("umount").arg("-l").arg(&self.place), b"", PATIENCE);
    }
}
