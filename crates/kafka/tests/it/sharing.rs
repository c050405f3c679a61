//! Several members of one group: every partition has one reader, also while they come and go.

use std::collections::BTreeMap;

use upnext_common::drain::Drain;
use upnext_kafka::group::{Assignment, Reader};

use crate::ground::{Ground, next, values, within};

const PARTITIONS: i32 = 4;

/// What a member holds now.
#[derive(Default)]
struct Held(BTreeMap<i32, Assignment>);

impl Held {
    fn put(&mut self, assignment: Assignment) {
        self.0.insert(assignment.partition, assignment);
    }

    fn drop_revoked(&mut self) {
        self.0.retain(|_, assignment| !assignment.revoked.has_started());
    }

    fn partitions(&self) -> Vec<i32> {
        self.0.keys().copied().collect()
    }
}

/// Lets both members take what they are given until together they hold every partition once, two each.
async fn settle(left: (&mut Reader, &mut Held), right: (&mut Reader, &mut Held)) {
    let (left_reader, left_held) = left;
    let (right_reader, right_held) = right;
    within(async {
        loop {
            left_held.drop_revoked();
            right_held.drop_revoked();
            if left_held.0.len() == 2 && right_held.0.len() == 2 {
                return;
            }
            tokio::select! {
                given = left_reader.next() => left_held.put(given.unwrap()),
                given = right_reader.next() => right_held.put(given.unwrap()),
                () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {}
            }
        }
    })
    .await;
}

#[tokio::test]
async fn partitions_are_shared_and_handed_over() {
    let ground = Ground::with_topic("t", PARTITIONS).await;
    let mut first = ground.reader("g", "t", &Drain::new());
    let mut first_held = Held::default();
    while first_held.0.len() < 4 {
        first_held.put(next(&mut first).await);
    }

    let mut second = ground.reader("g", "t", &Drain::new());
    let mut second_held = Held::default();
    settle((&mut first, &mut first_held), (&mut second, &mut second_held)).await;
    let mut all = [first_held.partitions(), second_held.partitions()].concat();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3], "each partition has one owner");

    // What was kept was not interrupted, and what moved begins where its new owner is told.
    for partition in 0..PARTITIONS {
        ground.write("t", partition, &["x"]).await;
        let held = first_held.0.get_mut(&partition).or(second_held.0.get_mut(&partition)).unwrap();
        assert_eq!(values(&mut held.records, 1).await, ["x"]);
        held.claim.commit(1);
    }

    within(first.close()).await.unwrap();
    while second_held.0.len() < 4 {
        let gained = next(&mut second).await;
        assert_eq!(gained.start_offset, 1, "the leaver's commit is known");
        second_held.put(gained);
    }
    within(second.close()).await.unwrap();
}

#[tokio::test]
async fn groups_do_not_disturb_each_other() {
    let ground = Ground::with_topic("t", 1).await;
    ground.write("t", 0, &["a"]).await;
    for group in ["g1", "g2"] {
        let mut reader = ground.reader(group, "t", &Drain::new());
        assert_eq!(values(&mut next(&mut reader).await.records, 1).await, ["a"]);
        within(reader.close()).await.unwrap();
    }
}

#[tokio::test]
async fn a_dropped_reader_leaves_its_group() {
    let ground = Ground::with_topic("t", 1).await;
    let mut first = ground.reader("g", "t", &Drain::new());
    let held = next(&mut first).await;
    drop(first);
    let mut second = ground.reader("g", "t", &Drain::new());
    assert_eq!(next(&mut second).await.partition, 0);
    within(held.revoked.started()).await;
    within(second.close()).await.unwrap();
}
