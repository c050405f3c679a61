//! A question with everything that is read off for it before any tier starts.

use upnext_model::live::{LiveItems, Moment};
use upnext_model::row::{Ask, Context};
use upnext_state::UserState;

use crate::eligible::{Eligible, Scope};
use crate::prepared::Snapshot;
use crate::query::Query;

pub(crate) struct Asked<'a> {
    pub(crate) query: &'a Query,
    pub(crate) snapshot: &'a Snapshot<'a>,
    pub(crate) moment: Moment<'a>,
    pub(crate) context: Context,
    pub(crate) eligible: Eligible,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(
        query: &'a Query,
        user: Option<&UserState>,
        snapshot: &'a Snapshot<'a>,
        scope: Scope,
    ) -> Self {
        let live = snapshot.live;
        let ask = Ask { now_ms: query.now_ms, session: query.session, seeds: &query.seeds };
        let context = Context::new(live, user, &ask);
        let eligible = Eligible::new(query, live, user, &context, scope);
        Self { query, snapshot, moment: live.at(query.now_ms), context, eligible }
    }

    pub(crate) fn live(&self) -> &'a LiveItems {
        self.snapshot.live
    }
}
