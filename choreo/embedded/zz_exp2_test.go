package embedded
import ("testing";"os";"fmt";"time";"strconv";"github.com/twmb/franz-go/pkg/kgo")
func TestYYLoad(t *testing.T){
 if os.Getenv("LOAD")=="" {t.Skip()}
 n,_:=strconv.Atoi(os.Getenv("LOAD"))
 c:=dialKafka(t,os.Getenv("A"),kgo.MaxBufferedRecords(2000),kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(16000),kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
 tn:=fmt.Sprintf("load%d",time.Now().UnixNano())
 c.createTopic(tn,8,nil)
 v:=make([]byte,300); for i:=range v {v[i]=byte(i*7919>>3)}
 s:=time.Now()
 for i:=0;i<n;i++ { c.Produce(t.Context(),&kgo.Record{Topic:tn,Value:v,Key:[]byte(strconv.Itoa(i))},func(_ *kgo.Record,err error){ if err!=nil {t.Error(err)}}) }
 c.Flush(t.Context()); fmt.Println("produced",n,time.Since(s))
}
