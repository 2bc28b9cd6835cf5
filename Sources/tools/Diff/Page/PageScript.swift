/// The script of the pages: values under the pointer, keys in charts, sorting, filtering, copying.
enum PageScript {
    static let text = """
        (()=>{
        document.documentElement.classList.add('js');
        const all=(selector,within=document)=>[...within.querySelectorAll(selector)];
        const tip=document.getElementById('tip');
        const say=(text,x,y)=>{tip.textContent=text;tip.hidden=false;const w=tip.offsetWidth,h=tip.offsetHeight;
        tip.style.left=Math.max(4,Math.min(x+14,innerWidth-w-4))+'px';
        tip.style.top=Math.max(4,Math.min(y+14,innerHeight-h-4))+'px'};
        \(lineCharts)
        \(histograms)
        \(heatMaps)
        \(scrolling)
        \(tables)
        \(copying)
        })();
        """

    private static let lineCharts = """
        for(const figure of all('figure[data-chart=line]')){
        const data=JSON.parse(figure.querySelector('script').textContent),svg=figure.querySelector('svg'),
        cursor=svg.querySelector('.cursor');let index=-1;
        const show=(i,x,y)=>{index=Math.max(0,Math.min(i,data.x.length-1));
        cursor.setAttribute('x1',data.at[index]);cursor.setAttribute('x2',data.at[index]);
        cursor.style.visibility='visible';
        say('step '+data.x[index]+data.series.map(s=>'\\n'+s.name+' '+(s.values[index]??'–')).join(''),x,y)};
        const hide=()=>{cursor.style.visibility='hidden';tip.hidden=true};
        svg.addEventListener('pointermove',e=>{const box=svg.getBoundingClientRect(),
        at=(e.clientX-box.left)/box.width*svg.viewBox.baseVal.width;let best=0;
        data.at.forEach((p,i)=>{if(Math.abs(p-at)<Math.abs(data.at[best]-at))best=i});show(best,e.clientX,e.clientY)});
        svg.addEventListener('pointerleave',hide);svg.addEventListener('blur',hide);
        svg.addEventListener('keydown',e=>{const step={ArrowLeft:-1,ArrowRight:1}[e.key];if(!step)return;
        e.preventDefault();const box=svg.getBoundingClientRect();
        const next=Math.max(0,Math.min(index<0?(step>0?0:data.x.length-1):index+step,data.at.length-1));
        show(next,box.left+data.at[next]/svg.viewBox.baseVal.width*box.width,box.top+box.height/2)});
        }
        """

    private static let histograms = """
        for(const figure of all('figure[data-chart=histogram]')){
        const data=JSON.parse(figure.querySelector('script').textContent),bars=all('.bar',figure),
        svg=figure.querySelector('svg'),title=svg.getAttribute('aria-label').split(':')[0].replace(/, [^,]*$/,'');
        figure.querySelector('input')?.addEventListener('input',e=>{const i=+e.target.value;
        figure.querySelector('output').textContent=data.labels[i];
        e.target.setAttribute('aria-valuetext',data.labels[i]);
        svg.setAttribute('aria-label',title+', '+data.labels[i]+': '+data.counts[i].join(', '));
        data.counts[i].forEach((n,b)=>{const h=n/data.highest*130;bars[b].setAttribute('height',h);
        bars[b].setAttribute('y',150-h);bars[b].firstChild.textContent=n+(n===1?' prompt':' prompts')})});
        }
        """

    private static let heatMaps = """
        for(const map of all('[data-chart=heat]')){
        const rows=all('tbody tr',map).map(row=>[...row.cells].slice(1));let at=null;
        const leave=()=>{if(at)at.classList.remove('at');at=null;tip.hidden=true};
        const choose=(cell,x,y)=>{if(at)at.classList.remove('at');at=cell;cell.classList.add('at');
        say(cell.dataset.tip,x,y)};
        map.addEventListener('pointermove',e=>{const cell=e.target.closest('td[data-tip]');
        if(cell)choose(cell,e.clientX,e.clientY);else leave()});
        map.addEventListener('pointerleave',leave);map.addEventListener('blur',leave);
        map.addEventListener('keydown',e=>{
        const step={ArrowLeft:[0,-1],ArrowRight:[0,1],ArrowUp:[-1,0],ArrowDown:[1,0]}[e.key];if(!step)return;
        e.preventDefault();let row=rows.findIndex(r=>r.includes(at)),column=row<0?0:rows[row].indexOf(at);
        if(row<0)row=0;else{row+=step[0];column+=step[1]}
        const cell=rows[Math.max(0,Math.min(row,rows.length-1))]?.[Math.max(0,Math.min(column,rows[0].length-1))];
        if(!cell?.dataset.tip)return;cell.scrollIntoView({block:'nearest',inline:'nearest'});
        const box=cell.getBoundingClientRect();choose(cell,box.right,box.bottom)});
        }
        """

    /// Only what scrolls takes the focus, and shows that there is more.
    private static let scrolling = """
        const wides=all('.wide');
        const measure=()=>{for(const wide of wides){
        const scrolls=wide.scrollWidth>wide.clientWidth+1||wide.scrollHeight>wide.clientHeight+1;
        wide.classList.toggle('more',wide.scrollLeft+wide.clientWidth<wide.scrollWidth-1);
        wide.closest('figure')?.classList.toggle('scrolls',wide.scrollWidth>wide.clientWidth+1);
        if(scrolls||wide.dataset.chart)wide.tabIndex=0;else wide.removeAttribute('tabindex')}};
        for(const wide of wides)wide.addEventListener('scroll',measure,{passive:true});
        addEventListener('resize',measure);for(const fold of all('details'))fold.addEventListener('toggle',measure);
        measure();
        """

    private static let tables = """
        const number=text=>/^[-−+]?[\\d.,]+(e[-+]?\\d+)?( %)?$/.test(text)?
        parseFloat(text.replace(/,/g,'').replace('−','-')):NaN;
        for(const table of all('table.sortable')){
        const heads=all('th',table.tHead),body=table.tBodies[0];
        heads.forEach(head=>{const button=document.createElement('button');button.type='button';
        button.textContent=head.textContent;head.replaceChildren(button);let down=false;
        button.addEventListener('click',()=>{down=!down;const column=head.cellIndex;
        const key=row=>{const cell=row.cells[column],text=cell?.dataset.value??cell?.textContent??'',n=number(text);
        return isNaN(n)?text:n};
        const rows=[...body.rows].sort((a,b)=>{const x=key(a),y=key(b);
        if(typeof x!==typeof y)return typeof x==='number'?-1:1;return (x<y?-1:x>y?1:0)*(down?-1:1)});
        heads.forEach(h=>h.removeAttribute('aria-sort'));head.setAttribute('aria-sort',down?'descending':'ascending');
        body.append(...rows)})});
        }
        for(const filter of all('.filter')){
        const rows=[...filter.nextElementSibling.querySelector('tbody').rows],output=filter.querySelector('output');
        filter.querySelector('input').addEventListener('input',e=>{
        const words=e.target.value.toLowerCase().split(/\\s+/).filter(Boolean);let shown=0;
        for(const row of rows){const name=row.cells[0].textContent.toLowerCase();
        row.hidden=!words.every(word=>name.includes(word));if(!row.hidden)shown++}
        output.textContent=shown+' of '+rows.length;measure()});
        }
        """

    private static let copying = """
        for(const button of all('.copy'))button.addEventListener('click',async()=>{
        let done=false;
        try{await navigator.clipboard.writeText(button.dataset.copy);done=true}catch{
        getSelection().selectAllChildren(button.previousElementSibling);done=document.execCommand('copy')}
        const box=button.getBoundingClientRect();say(done?'copied':'selected: copy it now',box.right,box.top);
        setTimeout(()=>tip.hidden=true,1500)});
        """
}
