import Surgery

/// The verdict on a run as a part of a page: headline, sentences, and a table of what changed.
enum StoryPage {
    /// The headline and the sentences.
    static func html(_ story: StoryText, origin: String?) -> String {
        let reason = story.headline.reason
        let headline = story.heading + (reason.isEmpty ? "" : ": " + reason)
        return "<p class=\"verdict\">\(HTML.escape(headline))</p>"
            + HTML.paragraphs([origin].compactMap(\.self) + story.sentences)
    }

    /// Every quantity at the start and at the end of one or two runs.
    static func table(_ stories: [RunStory]) -> String {
        let quantities = RunQuantity.allCases.filter { quantity in stories.contains { $0[quantity] != nil } }
        guard !quantities.isEmpty else { return "" }
        let names = stories.count > 1 ? ["A: ", "B: "] : [""]
        let headings = names.flatMap { ["\($0)start", "\($0)end", "\($0)change"] }
        return HTML.table(
            "What changed, as means over the first and the last steps", ["quantity"] + headings,
            quantities.map { quantity in
                [StoryText.name(quantity)]
                    + stories.flatMap { story -> [String] in
                        guard let change = story[quantity] else { return ["–", "–", "–"] }
                        let difference = change.after - change.before
                        let sign = difference < 0 ? "-" : "+"
                        let size =
                            quantity.isShare
                            ? Format.decimals(abs(difference) * 100, 1) : Format.value(abs(difference))
                        return [
                            StoryText.number(change.before, quantity), StoryText.number(change.after, quantity),
                            sign + size,
                        ]
                    }
            })
    }
}
