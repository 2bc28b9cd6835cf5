/// The style sheet of the pages, light and dark.
enum PageStyle {
    static let text = """
        :root{--ground:#fff;--panel:#f6f7f9;--text:#1c2128;--soft:#57606a;--rule:#d5dae1;--c0:#0b62c4;--c1:#b4500a;\
        --c2:#1a7f37;--c3:#8a3ffc;--c4:#a3174f;--c5:#5b6470;--heat:#0b62c4}
        @media (prefers-color-scheme:dark){:root{--ground:#0f1318;--panel:#181e26;--text:#e6eaf0;--soft:#a3adba;\
        --rule:#303946;--c0:#6cb2ff;--c1:#ffa657;--c2:#56d37a;--c3:#c4a1ff;--c4:#ff8ab5;--c5:#b3bcc8;--heat:#6cb2ff}}
        *{box-sizing:border-box}
        body{margin:0;background:var(--ground);color:var(--text);font:16px/1.5 system-ui,sans-serif}
        main{max-width:84rem;margin:0 auto;padding:1rem}
        h1{font-size:1.4rem;overflow-wrap:anywhere;margin:.5rem 0}
        h2{font-size:1.1rem;margin:2rem 0 .5rem;border-bottom:1px solid var(--rule);padding-bottom:.25rem}
        h3{font-size:1rem;margin:1rem 0 .25rem}
        p{margin:.4rem 0;overflow-wrap:anywhere;max-width:48rem}
        a{color:var(--c0)}
        nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:.25rem 1rem;margin:0;padding:0;font-size:.9rem}
        .verdict{font-size:1.15rem;font-weight:600}
        .grid-of-charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,22rem),1fr));gap:1rem}
        figure{margin:0;padding:.75rem;background:var(--panel);border:1px solid var(--rule);border-radius:.5rem;\
        min-width:0}
        figure.heatmap{margin:.75rem 0}
        figcaption{font-weight:600;font-size:.95rem;margin-bottom:.25rem;overflow-wrap:anywhere}
        figcaption small{font-weight:400;color:var(--soft)}
        .wide{overflow-x:auto;margin:.75rem 0;max-width:100%}
        .wide.tall{max-height:32rem;overflow-y:auto}
        .heatmap .wide{margin:.25rem 0 0}
        .more{mask-image:linear-gradient(to right,#000 calc(100% - 3rem),rgba(0,0,0,.25))}
        .more:focus-visible{mask-image:none}
        .cue{visibility:hidden;margin-left:auto}
        .scrolls .cue{visibility:visible}
        :focus-visible{outline:2px solid var(--c0);outline-offset:1px}
        svg{display:block;width:100%;height:auto}
        .tick{font-size:13px;fill:var(--soft)}
        .grid{stroke:var(--rule);stroke-width:1}
        .cursor{stroke:var(--soft);stroke-width:1;visibility:hidden}
        .line{fill:none;stroke-width:2;stroke-linejoin:round}
        .raw{stroke-width:1;opacity:.4}
        .dashed{stroke-dasharray:6 4}
        .c0{stroke:var(--c0)}.c1{stroke:var(--c1)}.c2{stroke:var(--c2)}.c3{stroke:var(--c3)}.c4{stroke:var(--c4)}\
        .c5{stroke:var(--c5)}
        .dot.c0,.bar.c0{fill:var(--c0)}.dot.c1{fill:var(--c1)}.dot.c2{fill:var(--c2)}.dot.c3{fill:var(--c3)}\
        .dot.c4{fill:var(--c4)}.dot.c5{fill:var(--c5)}
        .legend{list-style:none;display:flex;flex-wrap:wrap;gap:.25rem 1rem;margin:.25rem 0 0;padding:0;\
        font-size:.85rem}
        .legend li{display:flex;align-items:center;gap:.4rem}
        svg.key{width:24px;height:8px;flex:none}
        .slider,.filter,.copy{display:none}
        .js .slider,.js .filter{display:flex;font-size:.85rem;align-items:center;gap:.5rem;flex-wrap:wrap}
        .slider input{flex:1;accent-color:var(--c0)}
        .filter input{font:inherit;padding:.2rem .4rem;border:1px solid var(--soft);border-radius:.3rem;\
        background:var(--ground);color:inherit;width:16rem;max-width:100%}
        .js .copy{display:inline;font:inherit;font-size:.8rem;margin-left:.4rem;padding:0 .4rem;\
        border:1px solid var(--rule);border-radius:.3rem;background:var(--panel);color:inherit;cursor:pointer}
        table{border-collapse:collapse;font-size:.9rem}
        caption{text-align:left;color:var(--soft)}
        th,td{padding:.3rem .6rem;border-bottom:1px solid var(--rule);text-align:right;\
        font-variant-numeric:tabular-nums;font-weight:400;vertical-align:top}
        thead th{font-weight:600;white-space:nowrap}
        .tall thead th{position:sticky;top:0;background:var(--ground);z-index:1}
        th:first-child,td.text,th.text{text-align:left}
        tbody th{max-width:28rem;overflow-wrap:anywhere}
        td.text{max-width:28rem;overflow-wrap:break-word}
        tbody th{min-width:8rem}
        th button{font:inherit;color:inherit;background:none;border:0;padding:0;cursor:pointer;\
        text-decoration:underline dotted}
        table.heat{width:100%;table-layout:fixed;border-collapse:separate;border-spacing:2px;font-size:.8rem}
        .heat th,.heat td{border:0;padding:0;min-width:0;white-space:nowrap;text-align:center;\
        vertical-align:middle;position:relative;font-weight:400}
        .heat th[scope=row]{position:sticky;left:0;z-index:1;text-align:right;padding-right:.5rem;\
        background:var(--panel);overflow:hidden;text-overflow:ellipsis}
        .heat td[data-tip]::before{content:"";display:block;height:1.2rem;border-radius:2px;background:var(--heat);\
        opacity:var(--v)}
        .heat td[data-tip]{outline:1px solid var(--rule);outline-offset:-1px}
        .heat td.at{outline:2px solid var(--text);outline-offset:0}
        .scale{display:flex;align-items:center;gap:.4rem;font-size:.85rem;color:var(--soft);flex-wrap:wrap}
        .scale i{width:6rem;height:.7rem;border-radius:2px;border:1px solid var(--rule);\
        background:linear-gradient(to right,transparent,var(--heat))}
        .sr{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
        ol.timeline{list-style:none;margin:0;padding:0 0 0 1rem;border-left:2px solid var(--rule)}
        ol.timeline li{position:relative;padding:.2rem 0}
        ol.timeline li::before{content:"";position:absolute;left:calc(-1rem - 6px);top:.8rem;width:10px;height:10px;\
        border-radius:50%;background:var(--c0)}
        code{font-size:.9em;overflow-wrap:anywhere}
        .digest{display:inline-block;max-width:13ch;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;\
        vertical-align:bottom;user-select:all}
        pre{overflow-x:auto;background:var(--panel);padding:.75rem;border-radius:.5rem;font-size:.85rem}
        details{margin:.5rem 0}
        summary{cursor:pointer}
        #tip{position:fixed;z-index:2;pointer-events:none;background:var(--text);color:var(--ground);\
        border-radius:.4rem;\
        padding:.35rem .6rem;font-size:.85rem;max-width:18rem;white-space:pre-line}
        """
}
