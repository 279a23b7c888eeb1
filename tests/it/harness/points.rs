//! Fault points of the server, as a test arms them: files in `faults/`, see `src/faults.rs`.

use std::fs;

use super::{TestApp, Tested, eventually};

impl TestApp {
    /// Arms a fault point.
    pub fn arm(&self, point: &str) -> Tested {
        Ok(fs::write(self.root().join("faults").join(point), "panic")?)
    }

    /// Arms a fault point at which whoever comes to it shall stay.
    pub fn arm_halt(&self, point: &str) -> Tested {
        Ok(fs::write(self.root().join("faults").join(point), "stop")?)
    }

    /// Waits until someone has come to such a point.
    pub async fn halted(&self, point: &str) -> Tested {
        let reached = self.root().join("faults").join(format!("{point}.reached"));
        eventually(point, async || Ok(fs::remove_file(&reached).ok())).await
    }

    /// Arms a fault point at which whoever comes to it shall stay until it is released.
    pub fn arm_hold(&self, point: &str) -> Tested {
        Ok(fs::write(self.root().join("faults").join(point), "hold")?)
    }

    /// Waits until someone is held at such a point.
    pub async fn held(&self, point: &str) -> Tested {
        let held = self.root().join("faults").join(format!("{point}.held"));
        eventually(point, async || Ok(held.exists().then_some(()))).await
    }

    /// Lets whoever is held there go on.
    pub fn release(&self, point: &str) -> Tested {
        Ok(fs::remove_file(self.root().join("faults").join(format!("{point}.held")))?)
    }

    /// Disarms every fault point, reached or not.
    pub fn disarm(&self) -> Tested {
        for file in fs::read_dir(self.root().join("faults"))? {
            fs::remove_file(file?.path())?;
        }
        Ok(())
    }

    /// Whether a fault point is still armed.
    pub fn is_armed(&self, point: &str) -> bool {
        self.root().join("faults").join(point).exists()
    }
}
