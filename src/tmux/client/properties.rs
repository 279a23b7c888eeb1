//! However the output of a client comes, it says the same.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use proptest::prelude::*;
use tokio::io::ReadBuf;

use super::super::protocol::properties::{expected, messages, rendered};
use super::*;
use crate::fuzz::{cuts, pieces, thoroughly};

/// Output that comes in these pieces.
struct Pieces(VecDeque<Vec<u8>>);

impl AsyncRead for Pieces {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let Some(mut piece) = self.0.pop_front() else { return Poll::Ready(Ok(())) };
        let rest = piece.split_off(piece.len().min(to.remaining()));
        to.put_slice(&piece);
        if !rest.is_empty() {
            self.0.push_front(rest);
        }
        Poll::Ready(Ok(()))
    }
}

/// Everything that is read until the output ends.
fn read_all(reader: &mut Reader<Pieces>, bytes: &[u8], cuts: &[prop::sample::Index]) -> Vec<Event> {
    let pieces = pieces(bytes, cuts).into_iter().filter(|piece| !piece.is_empty());
    reader.from.0.extend(pieces.map(<[u8]>::to_vec));
    std::iter::from_fn(|| reader.next().now_or_never().flatten()).collect()
}

proptest! {
    #![proptest_config(thoroughly())]

    #[test]
    fn however_the_output_is_cut_it_says_the_same(messages in messages(), cuts in cuts()) {
        let mut reader = Reader::new(Pieces(VecDeque::new()));
        let bytes = rendered(&messages, &reader.mark_text());
        prop_assert_eq!(read_all(&mut reader, &bytes, &cuts), expected(&messages));
        prop_assert!(reader.buffer.is_empty());
    }

    #[test]
    fn of_any_bytes_no_more_is_kept_than_the_last_line(
        bytes in prop::collection::vec(prop_oneof![1 => Just(b'\n'), 5 => any::<u8>()], 0..24), cuts in cuts(),
    ) {
        let mut reader = Reader::new(Pieces(VecDeque::new()));
        read_all(&mut reader, &bytes, &cuts);
        let last = bytes.rsplit(|byte| *byte == b'\n').next().unwrap();
        prop_assert_eq!((&reader.buffer[..], reader.scanned), (last, last.len()));
    }
}
