//! Answers that go on: they end when whoever listens may not hear it any more, whatever took the right from them.

use tokio::sync::watch;

/// Waits until `may` is false, which is asked now and after every change of rights. Let `changes` begin before the right was
/// first asked for: one that is lost in between is seen here then.
pub(super) async fn until_lost(mut changes: watch::Receiver<()>, may: impl Fn() -> bool) {
    while may() {
        if changes.changed().await.is_err() {
            // The program ends, and the stream with it.
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn it_lasts_as_long_as_the_right() {
        let (sender, changes) = watch::channel(());
        let (may, asked) = (Cell::new(true), Cell::new(0));
        let lost = until_lost(changes, || {
            asked.set(asked.get() + 1);
            may.get()
        });
        let mut lost = std::pin::pin!(lost);
        assert!(lost.as_mut().now_or_never().is_none());
        sender.send_replace(());
        assert!(lost.as_mut().now_or_never().is_none(), "another's right has changed");
        may.set(false);
        assert!(lost.as_mut().now_or_never().is_none() && asked.get() == 2, "nobody was told yet");
        sender.send_replace(());
        assert!(lost.as_mut().now_or_never().is_some());
    }
}
