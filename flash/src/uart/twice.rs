//! Answers that have no checksum and decide something: asked for until two are alike.

/// How many more answers may differ from the one before.
const ANSWERS_MAX: u32 = 4;

/// Asks until two answers after each other are alike; `None` if they never are.
pub(crate) fn alike<T: PartialEq, E>(
    mut ask: impl FnMut() -> Result<T, E>,
) -> Result<Option<T>, E> {
    let mut last = ask()?;
    for _ in 0..ANSWERS_MAX {
        let next = ask()?;
        if next == last {
            return Ok(Some(next));
        }
        last = next;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_only_if_it_comes_twice_in_a_row() {
        let check = |answers: &[Result<u32, u8>], wanted: Result<Option<u32>, u8>| {
            let mut answers = answers.iter().copied();
            assert_eq!(alike(|| answers.next().expect("no more questions")), wanted);
        };
        check(&[Ok(1), Ok(1)], Ok(Some(1)));
        check(&[Ok(2), Ok(1), Ok(1)], Ok(Some(1)));
        check(&[Ok(1), Ok(2), Ok(1), Ok(3), Ok(3)], Ok(Some(3)));
        check(&[Ok(1), Ok(2), Ok(3), Ok(4), Ok(5)], Ok(None));
        check(&[Ok(1), Err(7)], Err(7));
    }
}
