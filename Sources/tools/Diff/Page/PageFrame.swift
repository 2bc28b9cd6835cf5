/// A self-contained HTML page, with its styles and its script.
struct PageFrame {
    let title: String
    /// The sections in order; one with empty content is left out.
    let sections: [(heading: String, html: String)]

    var html: String {
        let shown = sections.filter { !$0.html.isEmpty }
        let body = shown.enumerated().map { index, section in
            "<section aria-labelledby=\"h\(index)\"><h2 id=\"h\(index)\">\(HTML.escape(section.heading))</h2>"
                + "\(section.html)</section>"
        }.joined(separator: "\n")
        let links = shown.enumerated().map { index, section in
            "<li><a href=\"#h\(index)\">\(HTML.escape(section.heading))</a></li>"
        }.joined()
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <link rel="icon" href="data:,">
            <title>\(HTML.escape(title))</title>
            <style>\(PageStyle.text)</style>
            </head>
            <body>
            <main>
            <h1>\(HTML.escape(title))</h1>
            <nav aria-label="sections"><ul>\(links)</ul></nav>
            \(body)
            </main>
            <div id="tip" role="status" hidden></div>
            <script>\(PageScript.text)</script>
            </body>
            </html>

            """
    }
}
