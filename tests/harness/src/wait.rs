//! Waiting for a condition, never for luck.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const STEP: Duration = Duration::from_millis(25);

/// Asks `condition` until it gives a value, at most for `deadline`; `what` completes "waited … for".
///
/// # Errors
/// The deadline has passed.
pub async fn eventually<T, F>(
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Option<T>>,
{
    let started = Instant::now();
    loop {
        let left = deadline.saturating_sub(started.elapsed());
        match tokio::time::timeout(left.max(STEP), condition()).await {
            Ok(Some(value)) => return Ok(value),
            Ok(None) | Err(_) if started.elapsed() >= deadline => {
                bail!("waited {deadline:?} in vain for {what}")
            }
            Ok(None) | Err(_) => tokio::time::sleep(STEP).await,
        }
    }
}

/// The same for what is either so or not.
///
/// # Errors
/// The deadline has passed.
pub async fn until<F>(
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> F,
) -> Result<()>
where
    F: Future<Output = bool>,
{
    eventually(what, deadline, || {
        let asked = condition();
        async move { asked.await.then_some(()) }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_value_comes_through_and_a_deadline_names_what_was_awaited() {
        let mut asked = 0;
        let value = eventually("three", Duration::from_secs(5), || {
            asked += 1;
            std::future::ready((asked == 3).then_some(asked))
        });
        assert_eq!(value.await.unwrap(), 3);
        let error = until("rain", Duration::from_millis(1), || {
            std::future::ready(false)
        })
        .await
        .unwrap_err();
        assert!(error.to_string().contains("for rain"), "{error}");
    }

    #[tokio::test]
    async fn a_condition_that_hangs_does_not_hang_us() {
        let error =
            eventually::<(), _>("an answer", Duration::from_millis(50), std::future::pending).await;
        assert!(error.is_err());
    }
}
