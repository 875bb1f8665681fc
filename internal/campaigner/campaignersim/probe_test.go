package campaignersim
import ("testing";"fmt";"time")
func TestProbe(t *testing.T){
 s:=time.Now()
 a:=NewAccount(Options{Seed:1})
 fmt.Println(time.Since(s), len(a.Events()), len(a.later), len(a.Contacts()))
 k:=map[Kind]int{}
 for _,e:=range a.Events(){k[e.Kind]++}
 fmt.Println(k)
 s=time.Now(); tr:=a.Truth(); fmt.Println(time.Since(s), tr.Objects,tr.Inserted,tr.Duplicates,tr.Ignored)
 for i,c:=range a.Campaigns(){ st:=tr.Statistics(fmt.Sprint(c.ID),time.Time{},time.Time{}); n:=0; for _,r:=range c.Runs{n+=len(r.Recipients)}; fmt.Printf("%d %s | %s | %d runs %d mails %+v both %d\n",i,c.Name,c.Subject,len(c.Runs),n,st.Counts,st.OpenedAndClicked)}
 n:=0; s=time.Now(); size:=0
 for i,b:=range a.Webhooks("k"){ n++; size+=len(b); if n%1700==0 {fmt.Println(i,string(b))} }
 fmt.Println(n,size,time.Since(s))
 s=time.Now(); p:=tr.Series(fmt.Sprint(a.Campaigns()[2].ID), SeriesParams{Granularity:"hour",Zone:time.UTC,AsOf:a.options.Now}); fmt.Println(len(p),time.Since(s))
}
