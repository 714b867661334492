use model::NodeState;

use super::parse;

#[test]
fn invalid_world_is_an_error() {
    for (text, expected) in [
        (
            "[[places]]\nname = \"a\"\naddresses = [\"x\"]\nat = \"host\"\n",
            "no address: x",
        ),
        (
            "[[places]]\nname = \"a\"\naddresses = []\nat = \"host\"\nlistens = [\"80\"]\n",
            "not PROTOCOL/PORT: 80",
        ),
        ("bridge = true\n", "unknown field `bridge`"),
    ] {
        let error = parse(text, NodeState::default()).expect_err("it is refused");
        assert!(error.contains(expected), "{error}");
    }
}
