//! 256 short words, one per byte value, for people who compare a fingerprint.
//!
//! Never: change, reorder or add a word. Papers and screens of different versions must agree.

/// The word for each byte value.
pub(crate) const WORDS: [&str; 256] = [
    "acid", "acorn", "actor", "agent", "alarm", "album", "alley", "amber", "anchor", "angle",
    "ankle", "apple", "apron", "arch", "arena", "arrow", "atlas", "attic", "autumn", "axle",
    "bacon", "badge", "bagel", "balloon", "bamboo", "banjo", "barn", "basin", "basket", "beach",
    "beaver", "bell", "bench", "berry", "bicycle", "bishop", "blanket", "blossom", "boat", "bonus",
    "bottle", "branch", "brass", "bread", "brick", "bridge", "broom", "bucket", "buffalo", "bulb",
    "button", "cabin", "cactus", "camel", "canal", "candle", "canoe", "canyon", "carbon", "cargo",
    "carpet", "castle", "cedar", "cello", "chalk", "cherry", "chess", "chimney", "cider", "cinema",
    "circle", "citrus", "clarinet", "clay", "cliff", "clock", "clover", "cobalt", "coffee", "comet",
    "compass", "copper", "coral", "cotton", "cousin", "cradle", "crane", "crayon", "cricket",
    "crystal", "cymbal", "daisy", "dentist", "desert", "diamond", "dolphin", "donkey", "dragon",
    "drawer", "drum", "eagle", "easel", "echo", "eclipse", "elbow", "elm", "emerald", "engine",
    "ember", "fabric", "falcon", "feather", "fender", "ferry", "fiddle", "finch", "flamingo",
    "flute", "forest", "fossil", "fountain", "fox", "galaxy", "garden", "garlic", "gecko", "ginger",
    "giraffe", "glacier", "globe", "goblet", "gondola", "granite", "grape", "guitar", "hammer",
    "harbor", "harp", "hazel", "helmet", "heron", "hickory", "honey", "horizon", "hornet", "hotel",
    "husky", "igloo", "indigo", "iris", "island", "ivory", "jacket", "jaguar", "jelly", "jigsaw",
    "jungle", "kayak", "kettle", "kiosk", "kitten", "koala", "ladder", "lagoon", "lantern", "lava",
    "lemon", "lentil", "lever", "lilac", "lily", "limestone", "linen", "lizard", "lobster", "lotus",
    "lumber", "lyric", "magnet", "mango", "maple", "marble", "meadow", "melon", "meteor", "mineral",
    "mirror", "mitten", "monsoon", "mosaic", "muffin", "museum", "mustard", "napkin", "nectar",
    "needle", "nickel", "noodle", "nutmeg", "oasis", "ocean", "octopus", "olive", "onion", "opal",
    "orbit", "orchid", "otter", "oyster", "paddle", "panda", "papaya", "parrot", "pebble",
    "pelican", "pencil", "pepper", "piano", "pigeon", "pillow", "pilot", "planet", "plaza", "plum",
    "pocket", "polar", "pony", "poplar", "pretzel", "prism", "puffin", "pumpkin", "puzzle",
    "quarry", "quartz", "quilt", "rabbit", "radish", "raven", "ribbon", "river", "robin", "rocket",
    "saddle", "saffron", "salmon", "sapphire", "satin", "scarf", "shadow", "silver", "sparrow",
    "spruce", "tulip", "velvet", "walnut",
];

#[cfg(test)]
mod tests {
    use super::WORDS;

    #[test]
    fn no_two_bytes_share_a_word() {
        let mut sorted = WORDS.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 256);
    }
}
