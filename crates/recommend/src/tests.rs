//! Answers of every tier on a small shop, held against the rules that all of them keep.

use std::collections::BTreeMap;
use std::sync::Arc;

use upnext_common::event::{Device, Event, EventBody, Subject};
use upnext_common::fault::Fault;
use upnext_common::item::{Item, ItemHash, stable_hash};
use upnext_common::tier::Tier;
use upnext_model::artifact::{About, Artifact, AttributeVocabulary};
use upnext_model::live::LiveItems;
use upnext_model::row;
use upnext_state::replay::OwnedSubject;
use upnext_state::{Replay, UserState};

use super::*;

const NOW_MS: i64 = 100_000;
const TIERS: [Tier; 3] = [Tier::Session, Tier::Trending, Tier::Static];

/// Items `i0` … `i11`, of categories `c0` … `c2` and prices 1 … 12; everybody walks upward through them.
struct Shop {
    replay: Replay,
    live: LiveItems,
    prepared: Prepared,
}

impl Shop {
    fn new() -> Self {
        let mut live = LiveItems::new();
        for nth in 0..12 {
            live.put_item(&item(nth)).unwrap();
        }
        let mut shop = Self { replay: Replay::new(), live, prepared: Prepared::default() };
        for session in 0..6 {
            for step in 0..4 {
                let nth = (session * 2 + step) % 12;
                shop.view(&format!("s{session}"), nth, session * 1_000 + step * 100);
            }
        }
        shop
    }

    fn view(&mut self, session: &str, nth: i64, time_ms: i64) {
        self.apply(session, EventBody::ItemViewed { item_id: format!("i{nth}") }, time_ms);
    }

    fn apply(&mut self, session: &str, body: EventBody, time_ms: i64) {
        let event = Event {
            event_id: format!("{session}-{time_ms}"),
            event_time_ms: time_ms,
            user_id: None,
            anonymous_id: Some(session.to_owned()),
            session_id: session.to_owned(),
            surface: "home".to_owned(),
            decision_id: None,
            device: Device::Unknown,
            props: BTreeMap::new(),
            body,
        };
        for hash in self.replay.apply(&event, time_ms).touched() {
            self.live.put_state(hash, &self.replay.items[&hash]).unwrap();
        }
    }

    fn user(&self, session: &str) -> Option<&UserState> {
        self.replay.users.get(&OwnedSubject::from(Subject::Anonymous(session)))
    }

    fn ids(&self, query: &Query, session: &str, tier: Tier) -> Vec<String> {
        let snapshot = Snapshot { live: &self.live, prepared: &self.prepared };
        let picked = answer(query, self.user(session), &snapshot, tier).unwrap();
        picked.items.iter().map(|item| self.live.id(item.index).to_owned()).collect()
    }
}

fn item(nth: i32) -> Item {
    let colour = if nth % 2 == 0 { "red" } else { "blue" };
    Item {
        item_id: format!("i{nth}"),
        category: Some(format!("c{}", nth % 3)),
        price: Some(f64::from(nth + 1)),
        attributes: [("colour".to_owned(), colour.to_owned())].into(),
        ..Item::default()
    }
}

fn query(session: &str, k: usize) -> Query {
    Query { session: Some(stable_hash(session.as_bytes())), ..Query::new(NOW_MS, k) }
}

#[track_caller]
fn check_none_of(shop: &Shop, query: &Query, session: &str, is_banned: impl Fn(&str) -> bool) {
    for tier in TIERS {
        let ids = shop.ids(query, session, tier);
        assert!(!ids.iter().any(|id| is_banned(id)), "{tier:?}: {ids:?}");
        assert!(!ids.is_empty(), "{tier:?} has nothing left");
    }
}

fn number(id: &str) -> i32 {
    id[1..].parse().unwrap()
}

#[test]
fn the_session_tier_goes_on_from_the_newest_item() {
    let mut shop = Shop::new();
    shop.view("me", 4, NOW_MS - 100);
    assert_eq!(shop.ids(&query("me", 3), "me", Tier::Session)[0], "i5");
    shop.view("me", 8, NOW_MS - 50);
    assert_eq!(shop.ids(&query("me", 3), "me", Tier::Session)[0], "i9");
}

#[test]
fn the_score_of_the_session_tier_is_the_recipe_formula() {
    let mut shop = Shop::new();
    shop.view("me", 4, NOW_MS - 100);
    shop.view("me", 8, NOW_MS - 50);
    let snapshot = Snapshot { live: &shop.live, prepared: &shop.prepared };
    let picked = answer(&query("me", 20), shop.user("me"), &snapshot, Tier::Session).unwrap();
    let moment = shop.live.at(NOW_MS);
    let (newest, second) = (shop.live.find("i8").unwrap(), shop.live.find("i4").unwrap());
    assert_eq!(picked.items.len(), 11, "everything but the item in view");
    for item in &picked.items {
        let expected = moment.chance(item.index, newest).ln()
            + 0.2 * moment.chance(item.index, second).ln()
            - 0.2 * moment.count(item.index).ln_1p();
        assert!((f64::from(item.score) - expected).abs() < 1e-5);
    }
    assert_eq!(picked.items[0].source, Source::Next);
    assert!(picked.has_context);
}

#[test]
fn filters_hold_on_every_tier() {
    let mut shop = Shop::new();
    shop.view("me", 4, NOW_MS - 100);
    let with = |filters: Filters| Query { filters, ..query("me", 12) };
    let texts = |text: &str| Some(vec![text.to_owned()]);
    let banned = Filters { category_in: texts("c1"), ..Filters::default() };
    check_none_of(&shop, &with(banned), "me", |id| number(id) % 3 != 1);
    let banned = Filters { category_not_in: texts("c1"), ..Filters::default() };
    check_none_of(&shop, &with(banned), "me", |id| number(id) % 3 == 1);
    let banned = Filters { price_min: Some(4.0), price_max: Some(6.0), ..Filters::default() };
    check_none_of(&shop, &with(banned), "me", |id| !(3..=5).contains(&number(id)));
    let attributes = [("colour".to_owned(), "blue".to_owned())].into();
    let banned = Filters { attributes, ..Filters::default() };
    check_none_of(&shop, &with(banned), "me", |id| number(id) % 2 == 0);
    let exclude = ["i5", "i7"].map(ItemHash::of).into();
    check_none_of(&shop, &Query { exclude, ..query("me", 12) }, "me", |id| {
        id == "i5" || id == "i7"
    });
}

#[test]
fn hidden_deleted_and_disliked_items_come_on_no_tier() {
    let mut shop = Shop::new();
    shop.view("me", 4, NOW_MS - 100);
    shop.apply("me", EventBody::ItemHidden { item_id: "i6".to_owned() }, NOW_MS - 90);
    shop.live.put_item(&Item { hidden: true, ..item(5) }).unwrap();
    shop.live.put_item(&Item { deleted: true, ..item(7) }).unwrap();
    check_none_of(&shop, &query("me", 12), "me", |id| ["i5", "i6", "i7"].contains(&id));
    let other = shop.ids(&query("other", 12), "other", Tier::Trending);
    assert!(other.contains(&"i6".to_owned()), "a dislike is one user's own");
    shop.live.put_item(&item(5)).unwrap();
    assert!(shop.ids(&query("me", 12), "me", Tier::Session).contains(&"i5".to_owned()));
}

#[test]
fn the_seen_rule_allows_demotes_or_excludes_but_the_item_in_view_never_comes() {
    let mut shop = Shop::new();
    for (nth, time_ms) in [(4, 300), (5, 200), (6, 100)] {
        shop.view("me", nth, NOW_MS - time_ms);
    }
    for tier in TIERS {
        let ids = |seen: Seen| shop.ids(&Query { seen, ..query("me", 12) }, "me", tier);
        let (allowed, demoted, excluded) =
            (ids(Seen::Allow), ids(Seen::Demote), ids(Seen::Exclude));
        assert_eq!((allowed.len(), demoted.len(), excluded.len()), (11, 11, 9), "{tier:?}");
        assert!(!allowed.contains(&"i6".to_owned()));
        let mut last = demoted[9..].to_vec();
        last.sort();
        assert_eq!(last, ["i4", "i5"]);
        assert_eq!(demoted[..9], excluded);
    }
}

#[test]
fn seeds_count_as_the_newest_events_and_are_not_stored() {
    let shop = Shop::new();
    let seeds = vec![ItemHash::of("i2"), ItemHash::of("i8")];
    let seeded = Query { seeds, ..query("me", 3) };
    let ids = shop.ids(&seeded, "me", Tier::Session);
    assert_eq!(ids[0], "i9");
    assert!(!ids.contains(&"i8".to_owned()));
    assert!(shop.user("me").is_none());
}

#[test]
fn a_cold_user_gets_what_is_trending() {
    let shop = Shop::new();
    let session = shop.ids(&query("nobody", 5), "nobody", Tier::Session);
    assert_eq!(session, shop.ids(&query("nobody", 5), "nobody", Tier::Trending));
    let snapshot = Snapshot { live: &shop.live, prepared: &shop.prepared };
    let picked = answer(&query("nobody", 5), None, &snapshot, Tier::Session).unwrap();
    assert!(!picked.has_context);
}

#[test]
fn an_empty_catalogue_gives_an_empty_answer() {
    let (live, prepared) = (LiveItems::new(), Prepared::without_artifact());
    let snapshot = Snapshot { live: &live, prepared: &prepared };
    for tier in TIERS {
        assert!(answer(&query("me", 5), None, &snapshot, tier).unwrap().items.is_empty());
    }
    assert!(candidates(&query("me", 5), None, &snapshot).is_empty());
}

#[test]
fn equal_scores_are_ordered_by_item_id_whatever_the_order_of_arrival() {
    let names = ["kiwi", "apple", "pear", "fig"];
    let answer_of = |order: &[usize]| {
        let mut live = LiveItems::new();
        for at in order {
            live.put_item(&Item { item_id: names[*at].to_owned(), ..Item::default() }).unwrap();
        }
        let prepared = Prepared::default();
        let snapshot = Snapshot { live: &live, prepared: &prepared };
        let ids = |tier| {
            let picked = answer(&query("me", 3), None, &snapshot, tier).unwrap();
            picked.items.iter().map(|item| live.id(item.index).to_owned()).collect::<Vec<_>>()
        };
        TIERS.map(ids)
    };
    assert_eq!(answer_of(&[0, 1, 2, 3]), answer_of(&[3, 1, 0, 2]));
    assert_eq!(answer_of(&[0, 1, 2, 3])[0], ["apple", "fig", "kiwi"]);
}

#[test]
fn tiers_that_cannot_be_made_here_say_why() {
    let shop = Shop::new();
    let snapshot = Snapshot { live: &shop.live, prepared: &shop.prepared };
    let refused = |tier| answer(&query("me", 5), None, &snapshot, tier).unwrap_err();
    assert_eq!(refused(Tier::Full), RecommendError::ModelUnavailable);
    assert_eq!(refused(Tier::Full).fault(), Fault::UPSTREAM);
    for tier in [Tier::Cached, Tier::Stale, Tier::Head] {
        assert_eq!(refused(tier), RecommendError::NotComputed { tier });
        assert_eq!(refused(tier).fault(), Fault::INTERNAL);
        let given = rank_given(&query("me", 5), None, &snapshot, tier, &[]);
        assert_eq!(given.unwrap_err(), RecommendError::NotComputed { tier });
    }
}

#[test]
fn the_static_tier_follows_the_artifact_and_then_the_ids() {
    let mut shop = Shop::new();
    let artifact = Artifact {
        about: About::default(),
        tower: None,
        ranker: None,
        item_ids: Vec::new(),
        attributes: AttributeVocabulary::default(),
        static_list: ["i7", "gone", "i3"].map(str::to_owned).to_vec(),
    };
    shop.prepared = Prepared::new(Arc::new(artifact), &shop.live);
    assert!(shop.prepared.is_current(&shop.live));
    assert_eq!(shop.ids(&query("me", 4), "me", Tier::Static), ["i7", "i3", "i0", "i1"]);
    shop.live.put_item(&item(12)).unwrap();
    assert!(!shop.prepared.is_current(&shop.live));
}

#[test]
fn candidates_are_the_best_of_every_source_each_once_with_rows() {
    let mut shop = Shop::new();
    shop.view("me", 4, NOW_MS - 100);
    shop.view("me", 8, NOW_MS - 50);
    let snapshot = Snapshot { live: &shop.live, prepared: &shop.prepared };
    let slate = candidates(&query("me", 5), shop.user("me"), &snapshot);
    let mut indices = slate.index.clone();
    indices.sort_unstable();
    indices.dedup();
    assert_eq!((indices.len(), slate.len()), (11, 11));
    assert_eq!(slate.rows.len(), 11 * row::WIDTH);
    assert_eq!(slate.source[0], Source::Next);
    assert!(slate.rows.iter().all(|value| value.is_finite()));
    assert!(slate.row(99).is_empty());
}

#[test]
fn what_is_dropped_is_told_with_its_cause_when_asked_to_explain() {
    let mut shop = Shop::new();
    shop.view("me", 4, NOW_MS - 100);
    shop.live.put_item(&Item { hidden: true, ..item(5) }).unwrap();
    let exclude = [ItemHash::of("i6")].into();
    let plain = Query { exclude, ..query("me", 3) };
    let snapshot = Snapshot { live: &shop.live, prepared: &shop.prepared };
    let picked = |query: &Query| answer(query, shop.user("me"), &snapshot, Tier::Session).unwrap();
    assert!(picked(&plain).slate.dropped.is_empty());
    let explained = picked(&Query { explain: true, ..plain.clone() });
    assert_eq!(explained.items, picked(&plain).items);
    let causes = explained.slate.dropped.iter().map(|d| (shop.live.id(d.index), d.cause));
    let causes = causes.collect::<BTreeMap<_, _>>();
    assert_eq!((causes["i5"], causes["i6"]), (Cause::Hidden, Cause::Excluded));
    assert_eq!(causes.get("i4"), Some(&Cause::InView).filter(|_| causes.contains_key("i4")));
    let all = candidates(&Query { explain: true, ..plain }, shop.user("me"), &snapshot);
    let in_view = all.dropped.iter().find(|d| shop.live.id(d.index) == "i4").unwrap();
    assert_eq!(in_view.cause, Cause::InView);
}

#[test]
fn given_items_are_ranked_each_once_and_unknown_ones_left_out() {
    let mut shop = Shop::new();
    shop.view("me", 4, NOW_MS - 100);
    let snapshot = Snapshot { live: &shop.live, prepared: &shop.prepared };
    let given = ["i9", "i5", "i5", "none", "i4"].map(ItemHash::of);
    for tier in TIERS {
        let query = query("me", 10);
        let picked = rank_given(&query, shop.user("me"), &snapshot, tier, &given).unwrap();
        let mut ids = picked.items.iter().map(|i| shop.live.id(i.index)).collect::<Vec<_>>();
        if tier == Tier::Session {
            assert_eq!(ids[0], "i5");
        }
        ids.sort_unstable();
        assert_eq!(ids, ["i4", "i5", "i9"], "the item in view may be ranked where it is named");
    }
    let hidden = Query { exclude: [ItemHash::of("i9")].into(), ..query("me", 10) };
    let picked = rank_given(&hidden, None, &snapshot, Tier::Session, &given).unwrap();
    assert_eq!(picked.items.len(), 2);
    let refused = rank_given(&hidden, None, &snapshot, Tier::Full, &given).unwrap_err();
    assert_eq!(refused, RecommendError::ModelUnavailable);
}

#[test]
fn similar_items_follow_the_item_and_trending_ones_stay_in_their_category() {
    let shop = Shop::new();
    let snapshot = Snapshot { live: &shop.live, prepared: &shop.prepared };
    let near = similar(&Query::new(NOW_MS, 3), ItemHash::of("i2"), &snapshot).unwrap();
    assert_eq!(shop.live.id(near.items[0].index), "i3");
    assert!(near.items.iter().all(|item| shop.live.id(item.index) != "i2"));
    let of = trending(&Query::new(NOW_MS, 12), Some("c2"), &snapshot).unwrap();
    let ids = of.items.iter().map(|item| number(shop.live.id(item.index)) % 3);
    assert_eq!(ids.collect::<Vec<_>>(), [2, 2, 2, 2]);
    let nowhere = trending(&Query::new(NOW_MS, 12), Some("no such"), &snapshot).unwrap();
    assert!(nowhere.items.is_empty());
}

#[test]
fn a_known_and_an_anonymous_state_answer_as_one() {
    let mut shop = Shop::new();
    shop.view("here", 4, NOW_MS - 100);
    shop.view("there", 8, NOW_MS - 50);
    assert!(merged(None, None).is_none());
    let one = merged(shop.user("here"), None).unwrap();
    assert!(matches!(one, std::borrow::Cow::Borrowed(_)));
    let both = merged(shop.user("here"), shop.user("there")).unwrap();
    let snapshot = Snapshot { live: &shop.live, prepared: &shop.prepared };
    let picked = answer(&Query::new(NOW_MS, 3), Some(&both), &snapshot, Tier::Session).unwrap();
    assert_eq!(shop.live.id(picked.items[0].index), "i9");
}

#[test]
fn names_of_sources_and_rules_are_distinct() {
    let mut names = Source::ALL.map(Source::name).to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Source::ALL.len());
    for seen in [Seen::Allow, Seen::Demote, Seen::Exclude] {
        assert_eq!(Seen::from_name(seen.name()), Some(seen));
    }
    assert_eq!(Seen::from_name("never"), None);
}
