//! How long a turn may go without a sign of life, and how long it may take. Both stand still while the agent waits for a
//! person. Pure: whoever asks brings the moment.

use std::time::Duration;

use tokio::time::Instant;

/// Limits of a turn; zero means none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Longest time without any sign of life from the agent.
    pub silence: Duration,
    /// Longest time that the agent may take, from the moment at which it is given the turn.
    pub deadline: Duration,
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// [`Patience::silence`].
    Silence,
    /// [`Patience::deadline`].
    Deadline,
}

/// The watch over one turn.
#[derive(Clone, Copy, Debug)]
pub struct Vigil {
    patience: Patience,
    /// The last sign of life.
    sign: Instant,
    /// The end of the deadline, were the watch not suspended any more.
    deadline: Instant,
    /// Since when it is suspended.
    suspended: Option<Instant>,
}

impl Vigil {
    /// A watch that begins now.
    pub fn begin(patience: Patience, now: Instant) -> Self {
        Self { patience, sign: now, deadline: now + patience.deadline, suspended: None }
    }

    /// The agent gave a sign of life at this moment.
    pub fn sign(&mut self, at: Instant) {
        self.sign = self.sign.max(at);
    }

    /// Suspends the watch, or goes on with it.
    pub fn suspend(&mut self, wanted: bool, now: Instant) {
        match (wanted, self.suspended) {
            (true, None) => self.suspended = Some(now),
            (false, Some(since)) => {
                self.suspended = None;
                self.deadline += now.saturating_duration_since(since);
                self.sign(now);
            }
            _ => {}
        }
    }

    /// When to look again; `None` where nothing can be due before something else happens.
    pub fn next(&self) -> Option<Instant> {
        if self.suspended.is_some() {
            return None;
        }
        let silence = (!self.patience.silence.is_zero()).then(|| self.sign + self.patience.silence);
        let deadline = (!self.patience.deadline.is_zero()).then_some(self.deadline);
        silence.into_iter().chain(deadline).min()
    }

    /// What is due by now.
    pub fn due(&self, now: Instant) -> Option<Due> {
        self.next().filter(|next| *next <= now)?;
        let overdue = !self.patience.deadline.is_zero() && self.deadline <= now;
        Some(if overdue { Due::Deadline } else { Due::Silence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { silence: Duration::from_secs(90), deadline: Duration::from_secs(1800) };

    /// Waits as the actor does; what is due at last, and after how many seconds.
    async fn due(vigil: Vigil, since: Instant) -> (Option<Due>, u64) {
        while let Some(next) = vigil.next() {
            tokio::time::sleep_until(next).await;
            if let Some(due) = vigil.due(Instant::now()) {
                return (Some(due), since.elapsed().as_secs());
            }
        }
        (None, since.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn silence_counts_from_the_last_sign() {
        let begin = Instant::now();
        let mut vigil = Vigil::begin(PATIENCE, begin);
        assert_eq!(due(vigil, begin).await, (Some(Due::Silence), 90));
        vigil.sign(Instant::now());
        assert_eq!(vigil.due(Instant::now()), None);
        // An older sign takes nothing back.
        vigil.sign(begin);
        assert_eq!(due(vigil, begin).await, (Some(Due::Silence), 180));
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_goes_on_reaches_its_deadline() {
        let begin = Instant::now();
        let mut vigil = Vigil::begin(PATIENCE, begin);
        for _ in 0..29 {
            tokio::time::advance(Duration::from_secs(60)).await;
            vigil.sign(Instant::now());
            assert_eq!(vigil.due(Instant::now()), None);
        }
        assert_eq!(due(vigil, begin).await, (Some(Due::Deadline), 1800));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_due_while_a_person_is_waited_for() {
        let begin = Instant::now();
        let mut vigil = Vigil::begin(PATIENCE, begin);
        tokio::time::advance(Duration::from_secs(80)).await;
        vigil.suspend(true, Instant::now());
        tokio::time::advance(Duration::from_secs(7200)).await;
        assert_eq!((vigil.next(), vigil.due(Instant::now())), (None, None));
        vigil.suspend(true, Instant::now());
        vigil.suspend(false, Instant::now());
        let mut going_on = vigil;
        assert_eq!(due(vigil, begin).await, (Some(Due::Silence), 7200 + 80 + 90));
        while going_on.due(Instant::now()) != Some(Due::Deadline) {
            going_on.sign(Instant::now());
            tokio::time::advance(Duration::from_secs(10)).await;
        }
        assert_eq!(begin.elapsed().as_secs(), 7200 + 1800);
    }

    #[tokio::test(start_paused = true)]
    async fn zero_is_no_limit() {
        let begin = Instant::now();
        let none = Patience { silence: Duration::ZERO, deadline: Duration::ZERO };
        assert_eq!(Vigil::begin(none, begin).next(), None);
        let silence = Vigil::begin(Patience { deadline: Duration::ZERO, ..PATIENCE }, begin);
        assert_eq!(due(silence, begin).await, (Some(Due::Silence), 90));
        let deadline = Vigil::begin(Patience { silence: Duration::ZERO, ..PATIENCE }, begin);
        assert_eq!(due(deadline, begin).await, (Some(Due::Deadline), 1800));
    }
}
