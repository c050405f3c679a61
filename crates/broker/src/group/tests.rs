//! Groups step by step, in made-up time.

use tokio::sync::oneshot::Receiver;
use upnext_common::clock::Clock;

use super::*;
use bytes::Bytes;

const SESSION: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);
const DELAY: Duration = Duration::from_millis(20);

struct Bench {
    group: Group,
    now: Instant,
}

type JoinAnswer = Receiver<Result<Joined, JoinRefused>>;

fn wish(member_id: &str) -> Join {
    Join {
        member_id: member_id.to_owned(),
        instance_id: None,
        client_id: "client".to_owned(),
        session: SESSION,
        patience: PATIENCE,
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), Bytes::from_static(b"topics"))],
        asks_id_first: false,
        can_skip_assignment: false,
    }
}

fn static_wish(instance: &str) -> Join {
    Join { instance_id: Some(instance.to_owned()), ..wish("") }
}

#[track_caller]
fn joined(answer: &mut JoinAnswer) -> Joined {
    answer.try_recv().expect("answered").expect("granted")
}

#[track_caller]
fn refused(answer: &mut JoinAnswer) -> ResponseError {
    answer.try_recv().expect("answered").expect_err("refused").error
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

impl Bench {
    fn new() -> Self {
        Self { group: Group::new(DELAY), now: Clock::manual(0).instant() }
    }

    fn join(&mut self, join: Join) -> JoinAnswer {
        self.group.join(join, self.now)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.group.tick(self.now);
    }

    fn speaker<'a>(&self, member_id: &'a str) -> Speaker<'a> {
        Speaker { member_id, instance_id: None, generation: self.group.generation }
    }

    fn heartbeat(&mut self, member_id: &str) -> Result<(), ResponseError> {
        let speaker = self.speaker(member_id);
        self.group.heartbeat(speaker, self.now)
    }

    fn sync(
        &mut self,
        member_id: &str,
        assignments: &[(&str, &str)],
    ) -> Receiver<Result<Synced, ResponseError>> {
        let speaker = self.speaker(member_id);
        let assignments =
            assignments.iter().map(|(id, work)| ((*id).to_owned(), bytes(work))).collect();
        self.group.sync(speaker, assignments, self.now)
    }

    /// Has the wishes join together and get their work; gives the ids, the leader's first.
    fn form(&mut self, wishes: impl IntoIterator<Item = Join>) -> Vec<String> {
        let mut answers: Vec<_> = wishes.into_iter().map(|wish| self.join(wish)).collect();
        self.pass(DELAY);
        let joined: Vec<Joined> = answers.iter_mut().map(joined).collect();
        let leader = joined[0].leader.clone();
        let mut ids: Vec<String> = joined.into_iter().map(|joined| joined.member_id).collect();
        ids.sort_by_key(|id| *id != leader);
        let work: Vec<_> = ids.iter().map(|id| (id.as_str(), id.as_str())).collect();
        let mut synced: Vec<_> = ids.iter().rev().map(|id| self.sync(id, &work)).collect();
        for (answer, id) in synced.iter_mut().rev().zip(&ids) {
            assert_eq!(answer.try_recv().unwrap().unwrap().assignment, bytes(id));
        }
        assert_eq!(self.group.state(), State::Stable);
        ids
    }
}

#[test]
fn a_first_round_waits_for_others_and_tells_the_leader_of_all() {
    let mut bench = Bench::new();
    let mut first = bench.join(wish(""));
    let mut second = bench.join(wish(""));
    assert!(first.try_recv().is_err(), "still waiting");
    bench.pass(DELAY);
    let (first, second) = (joined(&mut first), joined(&mut second));
    assert_eq!((first.generation, second.generation), (1, 1));
    assert_eq!((first.protocol.as_str(), &first.leader), ("range", &second.leader));
    let (leader, follower) =
        if first.leader == first.member_id { (first, second) } else { (second, first) };
    assert_eq!(leader.members.len(), 2);
    assert_eq!(leader.members[0].metadata, bytes("topics"));
    assert!(follower.members.is_empty());
}

#[test]
fn everyone_gets_the_part_the_leader_gave_them() {
    let mut bench = Bench::new();
    let ids = bench.form([wish(""), wish(""), wish("")]);
    assert_eq!(ids.len(), 3);
    let mut again = bench.sync(&ids[2], &[]);
    assert_eq!(again.try_recv().unwrap().unwrap().assignment, bytes(&ids[2]));
}

#[test]
fn a_newcomer_may_be_told_its_id_first() {
    let mut bench = Bench::new();
    let ask = Join { asks_id_first: true, ..wish("") };
    let told = bench.join(ask.clone()).try_recv().unwrap().unwrap_err();
    assert_eq!(told.error, ResponseError::MemberIdRequired);
    assert!(!bench.group.is_forgettable());
    let mut answer = bench.join(Join { member_id: told.member_id.clone(), ..ask.clone() });
    bench.pass(DELAY);
    assert_eq!(joined(&mut answer).member_id, told.member_id);

    let told = bench.join(ask.clone()).try_recv().unwrap().unwrap_err();
    bench.pass(SESSION);
    let mut late = bench.join(Join { member_id: told.member_id, ..ask });
    assert_eq!(refused(&mut late), ResponseError::UnknownMemberId);
}

#[test]
fn a_third_member_starts_a_round_that_ends_when_all_have_joined() {
    let mut bench = Bench::new();
    let ids = bench.form([wish(""), wish("")]);
    let mut third = bench.join(wish(""));
    for id in &ids {
        assert_eq!(bench.heartbeat(id), Err(ResponseError::RebalanceInProgress));
        assert!(third.try_recv().is_err());
        drop(bench.join(wish(id)));
    }
    assert_eq!(joined(&mut third).generation, 2);
    assert_eq!(bench.group.state(), State::Syncing);
    assert_eq!(bench.heartbeat(&ids[0]), Ok(()));
}

#[test]
fn who_does_not_join_in_time_is_left_out() {
    let mut bench = Bench::new();
    let ids = bench.form([wish(""), wish("")]);
    let mut third = bench.join(wish(""));
    drop(bench.join(wish(&ids[1])));
    for _ in 0..7 {
        bench.pass(SESSION - Duration::from_secs(1));
        bench.heartbeat(&ids[0]).ok();
    }
    assert_eq!(bench.group.members().count(), 2);
    let third = joined(&mut third);
    assert!(third.leader == ids[1] || third.leader == third.member_id);
    assert_eq!(bench.heartbeat(&ids[0]), Err(ResponseError::UnknownMemberId));
}

#[test]
fn a_member_that_falls_silent_goes_and_the_others_go_on() {
    let mut bench = Bench::new();
    let ids = bench.form([wish(""), wish("")]);
    bench.pass(SESSION / 2);
    bench.heartbeat(&ids[1]).unwrap();
    bench.pass(SESSION / 2 + Duration::from_millis(1));
    assert_eq!(bench.heartbeat(&ids[0]), Err(ResponseError::UnknownMemberId));
    assert_eq!(bench.heartbeat(&ids[1]), Err(ResponseError::RebalanceInProgress));
    let mut answer = bench.join(wish(&ids[1]));
    let joined = joined(&mut answer);
    assert_eq!((joined.leader, joined.members.len()), (ids[1].clone(), 1));
}

#[test]
fn a_leader_that_never_assigns_is_left_out() {
    let mut bench = Bench::new();
    let (mut one, mut two) = (bench.join(wish("")), bench.join(wish("")));
    bench.pass(DELAY);
    let (one, two) = (joined(&mut one), joined(&mut two));
    let follower = if one.leader == one.member_id { two } else { one };
    let mut synced = bench.sync(&follower.member_id, &[]);
    for _ in 0..7 {
        bench.heartbeat(&follower.leader).ok();
        bench.pass(SESSION - Duration::from_secs(1));
    }
    assert_eq!(synced.try_recv().unwrap(), Err(ResponseError::RebalanceInProgress));
    let ids: Vec<&String> = bench.group.members().map(|(id, _)| id).collect();
    assert_eq!(ids, [&follower.member_id]);
}

#[test]
fn leaving_ends_membership_at_once() {
    let mut bench = Bench::new();
    let ids = bench.form([wish(""), wish("")]);
    let now = bench.now;
    assert_eq!(bench.group.leave(&ids[0], None, now), Ok(()));
    assert_eq!(bench.group.leave(&ids[0], None, now), Err(ResponseError::UnknownMemberId));
    assert_eq!(bench.group.leave(&ids[1], None, now), Ok(()));
    assert_eq!(bench.group.state(), State::Empty);
    assert!(bench.group.is_forgettable());
    assert_eq!(bench.heartbeat(&ids[1]), Err(ResponseError::UnknownMemberId));
}

#[test]
fn a_follower_that_repeats_itself_disturbs_nobody_and_a_leader_does() {
    let mut bench = Bench::new();
    let ids = bench.form([wish(""), wish("")]);
    let mut follower = bench.join(wish(&ids[1]));
    assert_eq!(joined(&mut follower).generation, 1);
    let news = vec![("range".to_owned(), bytes("other topics"))];
    let mut follower = bench.join(Join { protocols: news, ..wish(&ids[1]) });
    assert!(follower.try_recv().is_err());
    let mut leader = bench.join(wish(&ids[0]));
    assert_eq!((joined(&mut leader).generation, joined(&mut follower).generation), (2, 2));
}

#[test]
fn the_protocol_is_the_favourite_of_those_all_know() {
    let mut bench = Bench::new();
    let knows = |names: &[&str]| Join {
        protocols: names.iter().map(|name| ((*name).to_owned(), Bytes::new())).collect(),
        ..wish("")
    };
    let mut one = bench.join(knows(&["sticky", "range"]));
    let mut two = bench.join(knows(&["range", "sticky", "odd"]));
    let mut three = bench.join(knows(&["odd", "range", "sticky"]));
    assert_eq!(refused(&mut bench.join(knows(&["odd"]))), ResponseError::InconsistentGroupProtocol);
    bench.pass(DELAY);
    for answer in [&mut one, &mut two, &mut three] {
        assert_eq!(joined(answer).protocol, "range");
    }
}

#[test]
fn wishes_that_make_no_sense_are_refused() {
    #[track_caller]
    fn check(join: Join, error: ResponseError) {
        let mut bench = Bench::new();
        bench.form([wish("")]);
        assert_eq!(refused(&mut bench.join(join)), error);
        assert_eq!(bench.group.members().count(), 1);
    }
    let session = |session| Join { session, ..wish("") };
    check(session(Duration::from_millis(99)), ResponseError::InvalidSessionTimeout);
    check(session(Duration::from_secs(1_801)), ResponseError::InvalidSessionTimeout);
    let none = Join { protocols: Vec::new(), ..wish("") };
    check(none, ResponseError::InconsistentGroupProtocol);
    let other = Join { protocol_type: "connect".to_owned(), ..wish("") };
    check(other, ResponseError::InconsistentGroupProtocol);
    check(wish("stranger"), ResponseError::UnknownMemberId);
    let unknown = Join { member_id: "x".to_owned(), ..static_wish("stranger") };
    check(unknown, ResponseError::UnknownMemberId);
}

#[test]
fn a_restarted_static_member_takes_its_place_without_a_round() {
    let mut bench = Bench::new();
    let ids = bench.form([static_wish("a"), static_wish("b")]);
    let leader_instance = if ids[0].starts_with("a-") { "a" } else { "b" };
    let mut leader = bench.join(static_wish(leader_instance));
    let back = joined(&mut leader);
    assert_eq!((back.generation, &back.leader), (1, &ids[0]), "it must not take itself for leader");
    assert!(back.members.is_empty());
    let mut work = bench.sync(&back.member_id, &[]);
    assert_eq!(work.try_recv().unwrap().unwrap().assignment, bytes(&ids[0]));

    let old = Speaker { member_id: &ids[0], instance_id: Some(leader_instance), generation: 1 };
    assert_eq!(bench.group.heartbeat(old, bench.now), Err(ResponseError::FencedInstanceId));
    let skipping = Join { can_skip_assignment: true, ..static_wish(leader_instance) };
    let back = joined(&mut bench.join(skipping));
    assert_eq!((back.skips_assignment, back.members.len()), (true, 2));
}

#[test]
fn a_static_member_with_another_protocol_means_a_round() {
    let mut bench = Bench::new();
    bench.form([static_wish("a")]);
    let protocols = vec![("sticky".to_owned(), Bytes::new())];
    let mut back = bench.join(Join { protocols, ..static_wish("a") });
    let back = joined(&mut back);
    assert_eq!((back.generation, back.protocol.as_str()), (2, "sticky"));
}

#[test]
fn a_replaced_static_member_that_waits_is_told() {
    let mut bench = Bench::new();
    let mut old = bench.join(static_wish("a"));
    drop(bench.join(static_wish("a")));
    assert_eq!(refused(&mut old), ResponseError::FencedInstanceId);
}

#[test]
fn a_static_member_leaves_by_its_instance() {
    let mut bench = Bench::new();
    bench.form([static_wish("a"), static_wish("b")]);
    let now = bench.now;
    let other = bench.group.leave("somebody", Some("a"), now);
    assert_eq!(other, Err(ResponseError::FencedInstanceId));
    assert_eq!(bench.group.leave("", Some("a"), now), Ok(()));
    assert_eq!(bench.group.leave("", Some("a"), now), Err(ResponseError::UnknownMemberId));
    assert_eq!(bench.group.members().count(), 1);
}

#[test]
fn only_members_of_the_round_commit_and_anyone_while_nobody_is_in() {
    let mut bench = Bench::new();
    let outside = Speaker { member_id: "", instance_id: None, generation: -1 };
    let now = bench.now;
    assert_eq!(bench.group.may_commit(outside, now), Ok(()));
    let ids = bench.form([wish("")]);
    assert_eq!(bench.group.may_commit(outside, now), Err(ResponseError::UnknownMemberId));
    let member = bench.speaker(&ids[0]);
    assert_eq!(bench.group.may_commit(member, now), Ok(()));
    let late = Speaker { generation: 0, ..member };
    assert_eq!(bench.group.may_commit(late, now), Err(ResponseError::IllegalGeneration));
    drop(bench.join(wish(&ids[0])));
    let member = bench.speaker(&ids[0]);
    assert_eq!(bench.group.may_commit(member, now), Err(ResponseError::RebalanceInProgress));
}

#[test]
fn syncing_outside_its_phase_is_refused() {
    let mut bench = Bench::new();
    let ids = bench.form([wish(""), wish("")]);
    let mut stranger = bench.sync("stranger", &[]);
    assert_eq!(stranger.try_recv().unwrap(), Err(ResponseError::UnknownMemberId));
    drop(bench.join(wish("")));
    let mut early = bench.sync(&ids[0], &[]);
    assert_eq!(early.try_recv().unwrap(), Err(ResponseError::RebalanceInProgress));
}
