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
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <link rel="icon" href="data:,">
            <title>\(HTML.escape(title))</title>
            <style>\(Self.style)</style>
            </head>
            <body>
            <main>
            <h1>\(HTML.escape(title))</h1>
            \(body)
            </main>
            <div id="tip" role="status" hidden></div>
            <script>\(Self.script)</script>
            </body>
            </html>

            """
    }

    private static let style = """
        :root{--ground:#fff;--panel:#f6f7f9;--text:#1c2128;--soft:#57606a;--rule:#d5dae1;--c0:#0b62c4;--c1:#b4500a;\
        --c2:#1a7f37;--c3:#8a3ffc;--c4:#a3174f;--c5:#5b6470;--heat:#0b62c4}
        @media (prefers-color-scheme:dark){:root{--ground:#0f1318;--panel:#181e26;--text:#e6eaf0;--soft:#a3adba;\
        --rule:#303946;--c0:#6cb2ff;--c1:#ffa657;--c2:#56d37a;--c3:#c4a1ff;--c4:#ff8ab5;--c5:#b3bcc8;--heat:#6cb2ff}}
        *{box-sizing:border-box}
        body{margin:0;background:var(--ground);color:var(--text);font:16px/1.5 system-ui,sans-serif}
        main{max-width:84rem;margin:0 auto;padding:1rem}
        h1{font-size:1.4rem;overflow-wrap:anywhere;margin:.5rem 0}
        h2{font-size:1.1rem;margin:2rem 0 .5rem;border-bottom:1px solid var(--rule);padding-bottom:.25rem}
        p{margin:.4rem 0;overflow-wrap:anywhere}
        .verdict{font-size:1.15rem;font-weight:600}
        .grid-of-charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,22rem),1fr));gap:1rem}
        figure{margin:0;padding:.75rem;background:var(--panel);border:1px solid var(--rule);border-radius:.5rem;\
        min-width:0}
        figcaption{font-weight:600;font-size:.95rem;margin-bottom:.25rem}
        figure.wide,div.wide{overflow-x:auto;margin:.75rem 0}
        svg{display:block;width:100%;height:auto}
        svg.fixed{width:auto;max-width:none}
        svg:focus-visible{outline:2px solid var(--c0)}
        .tick{font-size:12px;fill:var(--soft)}
        .grid{stroke:var(--rule);stroke-width:1}
        .cursor{stroke:var(--soft);stroke-width:1;visibility:hidden}
        .line{fill:none;stroke-width:2;stroke-linejoin:round}
        .dashed{stroke-dasharray:6 4}
        .c0{stroke:var(--c0)}.c1{stroke:var(--c1)}.c2{stroke:var(--c2)}.c3{stroke:var(--c3)}.c4{stroke:var(--c4)}\
        .c5{stroke:var(--c5)}
        .dot.c0,.bar.c0{fill:var(--c0)}.dot.c1{fill:var(--c1)}.dot.c2{fill:var(--c2)}.dot.c3{fill:var(--c3)}\
        .dot.c4{fill:var(--c4)}.dot.c5{fill:var(--c5)}
        .cell{fill:var(--heat);stroke:var(--rule);stroke-width:.5}
        .legend{list-style:none;display:flex;flex-wrap:wrap;gap:.25rem 1rem;margin:.25rem 0 0;padding:0;\
        font-size:.85rem}
        .legend li{display:flex;align-items:center;gap:.4rem}
        svg.key{width:24px;height:8px;flex:none}
        .slider{display:none;font-size:.85rem;align-items:center;gap:.5rem}
        .js .slider{display:flex}
        .slider input{flex:1;accent-color:var(--c0)}
        table{border-collapse:collapse;font-size:.9rem;width:100%}
        caption{text-align:left;color:var(--soft)}
        th,td{padding:.3rem .6rem;border-bottom:1px solid var(--rule);text-align:right;\
        font-variant-numeric:tabular-nums;font-weight:400;vertical-align:top}
        thead th{font-weight:600;white-space:nowrap}
        th:first-child,td.text,th.text{text-align:left}
        tbody th{overflow-wrap:anywhere;min-width:10rem}
        th button{font:inherit;color:inherit;background:none;border:0;padding:0;cursor:pointer;\
        text-decoration:underline dotted}
        ol.timeline{list-style:none;margin:0;padding:0 0 0 1rem;border-left:2px solid var(--rule)}
        ol.timeline li{position:relative;padding:.2rem 0}
        ol.timeline li::before{content:"";position:absolute;left:calc(-1rem - 6px);top:.8rem;width:10px;height:10px;\
        border-radius:50%;background:var(--c0)}
        code{font-size:.9em;overflow-wrap:anywhere}
        pre{overflow-x:auto;background:var(--panel);padding:.75rem;border-radius:.5rem;font-size:.85rem}
        summary{cursor:pointer}
        #tip{position:fixed;z-index:2;pointer-events:none;background:var(--text);color:var(--ground);\
        border-radius:.4rem;\
        padding:.35rem .6rem;font-size:.85rem;max-width:18rem;white-space:pre-line}
        """

    private static let script = """
        (()=>{
        document.documentElement.classList.add('js');
        const tip=document.getElementById('tip');
        const place=(x,y)=>{tip.hidden=false;const w=tip.offsetWidth,h=tip.offsetHeight;
        tip.style.left=Math.max(4,Math.min(x+14,innerWidth-w-4))+'px';
        tip.style.top=Math.max(4,Math.min(y+14,innerHeight-h-4))+'px'};
        for(const figure of document.querySelectorAll('figure[data-chart=line]')){
        const data=JSON.parse(figure.querySelector('script').textContent),svg=figure.querySelector('svg'),
        cursor=svg.querySelector('.cursor');let index=-1;
        const show=(i,x,y)=>{index=Math.max(0,Math.min(i,data.x.length-1));
        cursor.setAttribute('x1',data.at[index]);cursor.setAttribute('x2',data.at[index]);\
        cursor.style.visibility='visible';
        tip.textContent='step '+data.x[index]+data.series.map(s=>'\\n'+s.name+' '+(s.values[index]??'–')).join('');\
        place(x,y)};
        const hide=()=>{cursor.style.visibility='hidden';tip.hidden=true};
        svg.addEventListener('pointermove',e=>{const box=svg.getBoundingClientRect(),
        at=(e.clientX-box.left)/box.width*svg.viewBox.baseVal.width;let best=0;
        data.at.forEach((p,i)=>{if(Math.abs(p-at)<Math.abs(data.at[best]-at))best=i});show(best,e.clientX,e.clientY)});
        svg.addEventListener('pointerleave',hide);svg.addEventListener('blur',hide);
        svg.addEventListener('keydown',e=>{const step={ArrowLeft:-1,ArrowRight:1}[e.key];if(!step)return;\
        e.preventDefault();
        const box=svg.getBoundingClientRect();
        const next=index<0?(step>0?0:data.x.length-1):index+step;show(next,
        box.left+data.at[Math.max(0,Math.min(next,data.at.length-1))]/svg.viewBox.baseVal.width*box.width,\
        box.top+box.height/2)});
        }
        for(const figure of document.querySelectorAll('figure[data-chart=histogram]')){
        const data=JSON.parse(figure.querySelector('script').textContent),bars=figure.querySelectorAll('.bar'),
        svg=figure.querySelector('svg'),title=svg.getAttribute('aria-label').split(':')[0].replace(/, [^,]*$/,'');
        figure.querySelector('input').addEventListener('input',e=>{const i=+e.target.value;
        figure.querySelector('output').textContent=data.labels[i];
        svg.setAttribute('aria-label',title+', '+data.labels[i]+': '+data.counts[i].join(', '));
        data.counts[i].forEach((n,b)=>{const h=n/data.highest*130;bars[b].setAttribute('height',h);
        bars[b].setAttribute('y',150-h);bars[b].firstChild.textContent=n+(n===1?' prompt':' prompts')})});
        }
        for(const table of document.querySelectorAll('table.sortable')){
        const heads=[...table.tHead.rows[0].cells],body=table.tBodies[0];
        heads.forEach((head,column)=>{const button=document.createElement('button');button.textContent=head.textContent;
        head.replaceChildren(button);let down=false;
        button.addEventListener('click',()=>{down=!down;const key=r=>{const c=r.cells[column],\
        v=c.dataset.value??c.textContent;
        return isNaN(+v)?v:+v};
        const rows=[...body.rows].sort((a,b)=>{const x=key(a),y=key(b);return (x<y?-1:x>y?1:0)*(down?-1:1)});
        heads.forEach(h=>h.removeAttribute('aria-sort'));head.setAttribute('aria-sort',down?'descending':'ascending');
        body.append(...rows)})});
        }
        })();
        """
}
