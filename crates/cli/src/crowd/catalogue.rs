//! The seeded catalogue: categories, styles, titles and prices.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::StdRng;
use upnext_common::item::Item;

/// Styles of a category; a session mostly stays within one.
pub(crate) const STYLES: usize = 6;

/// A category, its nouns and its usual price.
pub(crate) struct Category {
    pub(crate) name: &'static str,
    nouns: [&'static str; 4],
    price: f64,
}

const fn category(name: &'static str, nouns: [&'static str; 4], price: f64) -> Category {
    Category { name, nouns, price }
}

#[rustfmt::skip]
pub(crate) const CATEGORIES: [Category; 20] = [
    category("backpacks", ["Daypack", "Rucksack", "Roll-top", "Sling"], 80.0),
    category("bakeware", ["Loaf Tin", "Cake Ring", "Muffin Tray", "Pizza Stone"], 24.0),
    category("bicycles", ["Tourer", "City Bike", "Gravel Bike", "Folder"], 900.0),
    category("board games", ["Strategy Game", "Card Game", "Party Game", "Puzzle"], 35.0),
    category("books", ["Novel", "Atlas", "Cookbook", "Biography"], 18.0),
    category("cameras", ["Compact", "Rangefinder", "Action Camera", "Lens"], 480.0),
    category("coffee", ["Espresso Beans", "Filter Roast", "Grinder", "Dripper"], 28.0),
    category("garden", ["Trowel", "Planter", "Watering Can", "Secateurs"], 32.0),
    category("headphones", ["Earbuds", "Over-ears", "Monitors", "Headset"], 130.0),
    category("jackets", ["Parka", "Windbreaker", "Fleece", "Rain Shell"], 140.0),
    category("kitchen knives", ["Chef's Knife", "Paring Knife", "Cleaver", "Bread Knife"], 75.0),
    category("lamps", ["Desk Lamp", "Floor Lamp", "Lantern", "Pendant"], 65.0),
    category("notebooks", ["Journal", "Sketchbook", "Planner", "Pad"], 14.0),
    category("running shoes", ["Racer", "Trail Shoe", "Trainer", "Spike"], 115.0),
    category("sunglasses", ["Aviators", "Wayfarers", "Wraps", "Rounds"], 90.0),
    category("tea", ["Oolong", "Sencha", "Assam", "Infusion"], 12.0),
    category("tents", ["Dome Tent", "Tunnel Tent", "Tarp", "Bivy"], 260.0),
    category("toys", ["Marble Run", "Train Set", "Kite", "Building Set"], 38.0),
    category("watches", ["Diver", "Chronograph", "Field Watch", "Dress Watch"], 310.0),
    category("yoga", ["Mat", "Block Set", "Bolster", "Strap"], 45.0),
];

const ADJECTIVES: [&str; 24] = [
    "Amber", "Arctic", "Birch", "Bold", "Bright", "Calm", "Cedar", "Coastal", "Copper", "Dune",
    "Ember", "Fern", "Granite", "Harbour", "Ivory", "Juniper", "Linden", "Meadow", "Nordic",
    "Olive", "Quiet", "Sierra", "Tidal", "Willow",
];
const BRANDS: [&str; 16] = [
    "Alder & Co",
    "Bergen",
    "Calder",
    "Dovetail",
    "Eastwick",
    "Fjell",
    "Galeo",
    "Hollis",
    "Ismay",
    "Kestrel",
    "Lowland",
    "Marlow",
    "Northmoor",
    "Orrin",
    "Pallas",
    "Quarry",
];
const COLOURS: [&str; STYLES] = ["black", "navy", "red", "sand", "green", "white"];

/// All items, and the same ones by category and style, the popular first.
#[derive(Debug)]
pub(crate) struct Catalogue {
    pub(crate) items: Vec<Item>,
    /// Category and style of each item.
    pub(crate) places: Vec<(usize, usize)>,
    /// `[category][style]` → items.
    shelves: Vec<Vec<Vec<usize>>>,
}

impl Catalogue {
    pub(crate) fn new(rng: &mut StdRng, count: usize) -> Self {
        let mut made = Self {
            items: Vec::with_capacity(count),
            places: Vec::with_capacity(count),
            shelves: vec![vec![Vec::new(); STYLES]; CATEGORIES.len()],
        };
        for number in 0..count {
            let category = rng.random_range(0..CATEGORIES.len());
            let style = rng.random_range(0..STYLES);
            made.items.push(item(rng, number, category, style));
            made.places.push((category, style));
            made.shelves[category][style].push(number);
        }
        made
    }

    /// An item of the shelf by Zipf's law: the one at place r with a chance proportional to 1 / r.
    ///
    /// `None` only for a shelf that a very small catalogue left empty.
    pub(crate) fn pick(&self, rng: &mut StdRng, category: usize, style: usize) -> Option<usize> {
        let shelf = &self.shelves[category][style];
        let count = u32::try_from(shelf.len()).ok().filter(|count| *count > 0)?;
        // The inverse of the harmonic sum, close enough: H(r) ≈ ln(r + 1).
        let logarithm: f64 = rng.random_range(0.0..f64::from(count + 1).ln());
        let drawn = logarithm.exp() - 1.0;
        let place = (1..count).find(|place| drawn < f64::from(*place)).unwrap_or(count);
        shelf.get(usize::try_from(place - 1).ok()?).copied()
    }

    pub(crate) fn id(&self, item: usize) -> &str {
        &self.items[item].item_id
    }

    /// The item with this id, as [`Catalogue::new`] numbered it.
    pub(crate) fn find(&self, item_id: &str) -> Option<usize> {
        let number: usize = item_id.strip_prefix('p')?.parse().ok()?;
        self.items.get(number).filter(|item| item.item_id == item_id).map(|_| number)
    }
}

fn item(rng: &mut StdRng, number: usize, category: usize, style: usize) -> Item {
    let Category { name, nouns, price } = &CATEGORIES[category];
    let brand = BRANDS[rng.random_range(0..BRANDS.len())];
    let adjective = ADJECTIVES[rng.random_range(0..ADJECTIVES.len())];
    let noun = nouns[rng.random_range(0..nouns.len())];
    let factor: f64 = rng.random_range(-0.7_f64..0.9).exp();
    Item {
        item_id: format!("p{number:05}"),
        title: Some(format!("{brand} {adjective} {noun}")),
        category: Some((*name).to_owned()),
        price: Some((price * factor * 100.0).round() / 100.0),
        attributes: BTreeMap::from([
            ("brand".to_owned(), brand.to_owned()),
            ("colour".to_owned(), COLOURS[style].to_owned()),
        ]),
        hidden: false,
        deleted: false,
    }
}
