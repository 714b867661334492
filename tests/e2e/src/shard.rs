//! Division of a program's cases among guests.

/// Returns every `COUNT`th of the cases from the `NUMBER`th on, for the shard `NUMBER/COUNT`.
///
/// # Errors
/// If `shard` is not of that form.
pub fn of_shard<T>(cases: Vec<T>, shard: &str) -> Result<Vec<T>, String> {
    let numbers = || {
        let (number, count) = shard.split_once('/')?;
        Some((number.parse().ok()?, count.parse().ok()?))
    };
    match numbers() {
        Some((number @ 1.., count)) if number <= count => {
            Ok(cases.into_iter().skip(number - 1).step_by(count).collect())
        }
        _ => Err(format!(
            "invalid value {shard:?} of VM_SHARD; no test was run: use NUMBER/COUNT, such as 1/3"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_case_is_in_one_shard() {
        for count in 1..=7_usize {
            let shards = (1..=count)
                .map(|number| of_shard(vec![1, 2, 3, 4, 5], &format!("{number}/{count}")));
            let mut all: Vec<_> = shards.flat_map(Result::unwrap_or_default).collect();
            all.sort_unstable();
            assert_eq!(all, [1, 2, 3, 4, 5], "{count} shards");
        }
    }

    #[test]
    fn a_shard_that_does_not_exist_is_refused() {
        for shard in ["", "1", "0/2", "3/2", "1/0", "0/0", "1/2/3", "-1/2", "a/b"] {
            let refused = of_shard(vec![1], shard);
            assert!(
                refused.is_err_and(|error| error.contains(&format!("{shard:?}"))),
                "{shard}"
            );
        }
    }
}
