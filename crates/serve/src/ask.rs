//! What a caller asks for: the request as it comes, and the same once every limit has been checked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use upnext_common::event::Device;
use upnext_http::utoipa;
use upnext_http::utoipa::ToSchema;
use upnext_http::{FieldError, Problem};

pub(crate) const K_DEFAULT: u32 = 10;
pub(crate) const K_MAX: u32 = 200;
pub(crate) const SEEDS_MAX: usize = 100;
pub(crate) const EXCLUDES_MAX: usize = 10_000;
pub(crate) const RANKED_MAX: usize = 1_000;
pub(crate) const ID_BYTES_MAX: usize = 256;
const WORD_BYTES_MAX: usize = 128;
const FIELDS_MAX: usize = 32;
const CATEGORIES_MAX: usize = 100;
const ATTRIBUTES_MAX: usize = 20;
pub(crate) const SURFACE_DEFAULT: &str = "home";

/// Body of `POST /v1/recommendations`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecommendationsRequest {
    #[serde(default)]
    pub(crate) user_id: Option<String>,
    #[serde(default)]
    pub(crate) anonymous_id: Option<String>,
    #[serde(default)]
    pub(crate) session_id: Option<String>,
    /// Where the answer will be shown.
    #[serde(default = "home")]
    pub(crate) surface: String,
    /// How many items, 1 to 200. Without it 10, or for `rank` all that were given.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 200)]
    pub(crate) k: Option<u32>,
    #[serde(default)]
    pub(crate) context: Context,
    /// Treated as the newest events of this session, oldest first; not stored. At most 100.
    #[serde(default)]
    pub(crate) seed_items: Vec<String>,
    /// Never in the answer. At most 10,000.
    #[serde(default)]
    pub(crate) exclude_items: Vec<String>,
    #[serde(default)]
    pub(crate) filters: Filters,
    #[serde(default)]
    pub(crate) seen: Seen,
    /// Catalogue fields to return in `meta`: `title`, `category`, `price` or the name of an attribute.
    #[serde(default)]
    pub(crate) fields: Vec<String>,
    /// Adds the feature row to each item.
    #[serde(default)]
    pub(crate) explain: bool,
}

/// Body of `POST /v1/rank`: the same, and the items to be ranked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RankRequest {
    #[serde(default)]
    pub(crate) user_id: Option<String>,
    #[serde(default)]
    pub(crate) anonymous_id: Option<String>,
    #[serde(default)]
    pub(crate) session_id: Option<String>,
    #[serde(default = "home")]
    pub(crate) surface: String,
    /// How many of them, 1 to 200. Without it as many as were given.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 200)]
    pub(crate) k: Option<u32>,
    #[serde(default)]
    pub(crate) context: Context,
    #[serde(default)]
    pub(crate) seed_items: Vec<String>,
    #[serde(default)]
    pub(crate) exclude_items: Vec<String>,
    #[serde(default)]
    pub(crate) filters: Filters,
    #[serde(default)]
    pub(crate) seen: Seen,
    #[serde(default)]
    pub(crate) fields: Vec<String>,
    #[serde(default)]
    pub(crate) explain: bool,
    /// The candidates, 1 to 1,000.
    pub(crate) items: Vec<String>,
}

impl RankRequest {
    /// The common part, and the candidates.
    pub(crate) fn split(self) -> (RecommendationsRequest, Vec<String>) {
        let common = RecommendationsRequest {
            user_id: self.user_id,
            anonymous_id: self.anonymous_id,
            session_id: self.session_id,
            surface: self.surface,
            k: self.k,
            context: self.context,
            seed_items: self.seed_items,
            exclude_items: self.exclude_items,
            filters: self.filters,
            seen: self.seen,
            fields: self.fields,
            explain: self.explain,
        };
        (common, self.items)
    }
}

impl Default for RecommendationsRequest {
    fn default() -> Self {
        Self {
            user_id: None,
            anonymous_id: None,
            session_id: None,
            surface: home(),
            k: None,
            context: Context::default(),
            seed_items: Vec::new(),
            exclude_items: Vec::new(),
            filters: Filters::default(),
            seen: Seen::default(),
            fields: Vec::new(),
            explain: false,
        }
    }
}

/// What the caller knows about the moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// `unknown`, `desktop`, `mobile`, `tablet` or `tv`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) device: Option<Device>,
    /// A language tag, for example `de-AT`.
    #[serde(default)]
    pub(crate) locale: Option<String>,
}

/// Which items may be answered at all. Everything given must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filters {
    #[serde(default)]
    pub(crate) category_in: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) category_not_in: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) price_min: Option<f64>,
    #[serde(default)]
    pub(crate) price_max: Option<f64>,
    /// Each named attribute must have this value.
    #[serde(default)]
    pub(crate) attributes: BTreeMap<String, String>,
}

/// What to do with items the user has met before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Seen {
    #[default]
    Allow,
    Demote,
    Exclude,
}

fn home() -> String {
    SURFACE_DEFAULT.to_owned()
}

/// Everything that is wrong with a request, by pointer.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Vec<FieldError>);

impl Complaints {
    pub(crate) fn add(
        &mut self,
        pointer: impl Into<String>,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let (pointer, detail, hint) = (pointer.into(), detail.into(), hint.into());
        self.0.push(FieldError { pointer, detail, hint });
    }

    /// A 400 with every complaint, or nothing.
    pub(crate) fn into_result(self) -> Result<(), Problem> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut problem = Problem::bad_request(
            "invalid_request",
            "the request breaks the limits named in errors",
        );
        problem.errors = self.0;
        Err(problem)
    }

    pub(crate) fn id(&mut self, pointer: &str, id: &str) {
        if id.is_empty() || id.len() > ID_BYTES_MAX {
            let detail = format!("an id has 1 to {ID_BYTES_MAX} bytes, this one {}", id.len());
            self.add(pointer, detail, "");
        }
    }

    fn ids(&mut self, pointer: &str, ids: &[String], max: usize) {
        if ids.len() > max {
            self.add(pointer, format!("{} items, at most {max}", ids.len()), "send fewer items");
            return;
        }
        for (index, id) in ids.iter().enumerate() {
            self.id(&format!("{pointer}/{index}"), id);
        }
    }

    fn word(&mut self, pointer: &str, word: &str) {
        if word.is_empty() || word.len() > WORD_BYTES_MAX {
            let detail = format!("1 to {WORD_BYTES_MAX} bytes are allowed, not {}", word.len());
            self.add(pointer, detail, "");
        }
    }
}

/// Checks every limit of the common part.
///
/// # Errors
/// A 400 problem naming every field that breaks its limit.
pub(crate) fn check(request: &RecommendationsRequest) -> Result<(), Problem> {
    let mut complaints = Complaints::default();
    complain(request, &mut complaints);
    complaints.into_result()
}

/// Checks the common part and the candidates of a rank request.
///
/// # Errors
/// A 400 problem naming every field that breaks its limit.
pub(crate) fn check_rank(
    request: &RecommendationsRequest,
    items: &[String],
) -> Result<(), Problem> {
    let mut complaints = Complaints::default();
    complain(request, &mut complaints);
    if items.is_empty() {
        complaints.add("/items", "there is nothing to rank", "send 1 to 1,000 item ids");
    }
    complaints.ids("/items", items, RANKED_MAX);
    complaints.into_result()
}

fn complain(request: &RecommendationsRequest, complaints: &mut Complaints) {
    let ids = [
        ("/user_id", &request.user_id),
        ("/anonymous_id", &request.anonymous_id),
        ("/session_id", &request.session_id),
    ];
    for (pointer, id) in ids {
        if let Some(id) = id {
            complaints.id(pointer, id);
        }
    }
    complaints.word("/surface", &request.surface);
    if let Some(locale) = &request.context.locale {
        complaints.word("/context/locale", locale);
    }
    if let Some(k) = request.k.filter(|k| !(1..=K_MAX).contains(k)) {
        complaints.add("/k", format!("k is {k}"), format!("k is 1 to {K_MAX}"));
    }
    complaints.ids("/seed_items", &request.seed_items, SEEDS_MAX);
    complaints.ids("/exclude_items", &request.exclude_items, EXCLUDES_MAX);
    if request.fields.len() > FIELDS_MAX {
        let detail = format!("{} fields, at most {FIELDS_MAX}", request.fields.len());
        complaints.add("/fields", detail, "");
    }
    complain_of_filters(&request.filters, complaints);
}

fn complain_of_filters(filters: &Filters, complaints: &mut Complaints) {
    let lists = [
        ("/filters/category_in", &filters.category_in),
        ("/filters/category_not_in", &filters.category_not_in),
    ];
    for (pointer, list) in lists {
        if let Some(list) = list.as_ref().filter(|list| list.len() > CATEGORIES_MAX) {
            let detail = format!("{} categories, at most {CATEGORIES_MAX}", list.len());
            complaints.add(pointer, detail, "");
        }
    }
    if filters.attributes.len() > ATTRIBUTES_MAX {
        let detail = format!("{} attributes, at most {ATTRIBUTES_MAX}", filters.attributes.len());
        complaints.add("/filters/attributes", detail, "");
    }
    if let (Some(min), Some(max)) = (filters.price_min, filters.price_max)
        && min > max
    {
        let detail = format!("price_min {min} is above price_max {max}");
        complaints.add("/filters/price_min", detail, "swap the two");
    }
}

#[cfg(test)]
mod tests;
