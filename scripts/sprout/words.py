"""Words and facts in both languages, from which the tasks are made."""

from __future__ import annotations


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(en.replace("_", " "), zh) for en, zh in (item.split("=") for item in text.split())]


KINDS: dict[tuple[str, str], list[tuple[str, str]]] = {
    ("animal", "动物"): _pairs(
        "cat=猫 dog=狗 horse=马 cow=牛 sheep=羊 pig=猪 tiger=老虎 lion=狮子 elephant=大象 monkey=猴子 rabbit=兔子 mouse=老鼠 "
        "bear=熊 wolf=狼 fox=狐狸 deer=鹿 panda=熊猫 camel=骆驼 zebra=斑马 giraffe=长颈鹿 snake=蛇 frog=青蛙 turtle=乌龟 whale=鲸鱼 "
        "dolphin=海豚 shark=鲨鱼 penguin=企鹅 goat=山羊 donkey=驴 kangaroo=袋鼠 squirrel=松鼠 hedgehog=刺猬 leopard=豹子 otter=水獭"
    ),
    ("bird", "鸟"): _pairs(
        "eagle=老鹰 owl=猫头鹰 duck=鸭子 goose=鹅 swan=天鹅 parrot=鹦鹉 sparrow=麻雀 swallow=燕子 crow=乌鸦 pigeon=鸽子 peacock=孔雀 crane=鹤"
    ),
    ("fruit", "水果"): _pairs(
        "apple=苹果 banana=香蕉 orange=橙子 pear=梨 peach=桃子 grape=葡萄 watermelon=西瓜 strawberry=草莓 cherry=樱桃 lemon=柠檬 "
        "mango=芒果 pineapple=菠萝 plum=李子 kiwi=猕猴桃 coconut=椰子 lychee=荔枝 melon=甜瓜 apricot=杏子 pomegranate=石榴 blueberry=蓝莓"
    ),
    ("vegetable", "蔬菜"): _pairs(
        "carrot=胡萝卜 potato=土豆 tomato=西红柿 cabbage=白菜 onion=洋葱 cucumber=黄瓜 spinach=菠菜 pumpkin=南瓜 eggplant=茄子 pepper=辣椒 "
        "garlic=大蒜 celery=芹菜 bean=豆角 lotus_root=莲藕 mushroom=蘑菇 corn=玉米"
    ),
    ("colour", "颜色"): _pairs(
        "red=红色 blue=蓝色 green=绿色 yellow=黄色 white=白色 black=黑色 purple=紫色 orange=橙色 pink=粉色 grey=灰色 brown=棕色 silver=银色"
    ),
    ("food", "食物"): _pairs(
        "rice=米饭 bread=面包 noodles=面条 egg=鸡蛋 meat=肉 fish=鱼 soup=汤 cake=蛋糕 cheese=奶酪 butter=黄油 dumplings=饺子 tofu=豆腐 "
        "salad=沙拉 chocolate=巧克力 candy=糖果 honey=蜂蜜 biscuit=饼干 sausage=香肠 porridge=粥 pie=馅饼"
    ),
    ("drink", "饮料"): _pairs(
        "water=水 tea=茶 coffee=咖啡 milk=牛奶 juice=果汁 wine=葡萄酒 beer=啤酒 lemonade=柠檬水 cocoa=可可 soy_milk=豆浆"
    ),
    ("profession", "职业"): _pairs(
        "teacher=老师 doctor=医生 nurse=护士 farmer=农民 cook=厨师 driver=司机 engineer=工程师 lawyer=律师 writer=作家 painter=画家 "
        "singer=歌手 actor=演员 soldier=士兵 pilot=飞行员 fisherman=渔民 baker=面包师 tailor=裁缝 scientist=科学家 student=学生 firefighter=消防员"
    ),
    ("tool", "工具"): _pairs(
        "hammer=锤子 saw=锯子 knife=刀 scissors=剪刀 needle=针 brush=刷子 rope=绳子 ladder=梯子 shovel=铲子 axe=斧头 ruler=尺子"
    ),
    ("vehicle", "交通工具"): _pairs(
        "car=汽车 bus=公共汽车 train=火车 plane=飞机 ship=轮船 bicycle=自行车 truck=卡车 boat=小船 taxi=出租车 subway=地铁 tram=电车 motorcycle=摩托车"
    ),
    ("plant", "植物"): _pairs(
        "tree=树 flower=花 grass=草 rose=玫瑰 bamboo=竹子 pine=松树 lotus=荷花 sunflower=向日葵 willow=柳树 cactus=仙人掌 oak=橡树 lily=百合 moss=苔藓"
    ),
    ("piece of furniture", "家具"): _pairs(
        "table=桌子 chair=椅子 bed=床 sofa=沙发 desk=书桌 shelf=架子 wardrobe=衣柜 bench=长凳 lamp=台灯"
    ),
    ("piece of clothing", "衣服"): _pairs(
        "shirt=衬衫 coat=外套 trousers=裤子 skirt=裙子 hat=帽子 shoe=鞋子 sock=袜子 glove=手套 scarf=围巾 jacket=夹克"
    ),
    ("part of the body", "身体部位"): _pairs(
        "head=头 hand=手 foot=脚 eye=眼睛 ear=耳朵 nose=鼻子 mouth=嘴 tooth=牙齿 hair=头发 arm=手臂 leg=腿 finger=手指 heart=心脏 knee=膝盖 neck=脖子"
    ),
    ("musical instrument", "乐器"): _pairs(
        "piano=钢琴 violin=小提琴 guitar=吉他 drum=鼓 flute=笛子 trumpet=小号 harp=竖琴 erhu=二胡"
    ),
    ("sport", "运动"): _pairs(
        "football=足球 basketball=篮球 swimming=游泳 running=跑步 tennis=网球 table_tennis=乒乓球 badminton=羽毛球 skiing=滑雪 chess=象棋 volleyball=排球"
    ),
    ("school subject", "科目"): _pairs(
        "maths=数学 history=历史 music=音乐 art=美术 physics=物理 chemistry=化学 biology=生物 geography=地理 English=英语 Chinese=语文"
    ),
    ("weather word", "天气"): _pairs(
        "rain=雨 snow=雪 wind=风 cloud=云 sun=太阳 fog=雾 storm=暴风雨 thunder=雷 lightning=闪电 ice=冰 rainbow=彩虹"
    ),
    ("place", "地点"): _pairs(
        "school=学校 hospital=医院 library=图书馆 park=公园 market=市场 station=车站 airport=机场 museum=博物馆 bank=银行 restaurant=饭馆 "
        "cinema=电影院 shop=商店 farm=农场 factory=工厂 beach=海滩 mountain=山 river=河 lake=湖 forest=森林 village=村庄 city=城市 island=岛"
    ),
    ("thing", "东西"): _pairs(
        "book=书 pen=钢笔 pencil=铅笔 paper=纸 door=门 window=窗户 house=房子 key=钥匙 cup=杯子 bowl=碗 spoon=勺子 fork=叉子 bottle=瓶子 box=盒子 "
        "bag=包 clock=钟 watch=手表 mirror=镜子 umbrella=雨伞 phone=电话 computer=电脑 camera=照相机 newspaper=报纸 letter=信 map=地图 ball=球 "
        "kite=风筝 candle=蜡烛 stone=石头 bridge=桥 wall=墙 road=路 garden=花园 ticket=票 gift=礼物 toy=玩具 coin=硬币 bell=铃"
    ),
}
MORE = _pairs(
    "big=大 small=小 good=好 bad=坏 new=新 old=旧 hot=热 cold=冷 long=长 short=短 high=高 low=低 fast=快 slow=慢 happy=高兴 sad=难过 "
    "beautiful=美丽 clean=干净 dirty=脏 strong=强壮 weak=虚弱 rich=富有 poor=贫穷 young=年轻 busy=忙 tired=累 hungry=饿 easy=容易 difficult=困难 "
    "eat=吃 drink=喝 sleep=睡觉 walk=走路 run=跑 read=读 write=写 speak=说 listen=听 look=看 buy=买 sell=卖 open=打开 close=关闭 love=爱 "
    "help=帮助 learn=学习 teach=教 work=工作 play=玩 sing=唱歌 dance=跳舞 think=想 know=知道 give=给 take=拿 wait=等待 swim=游泳 fly=飞 "
    "father=父亲 mother=母亲 brother=哥哥 sister=姐姐 son=儿子 daughter=女儿 friend=朋友 child=孩子 grandmother=奶奶 grandfather=爷爷 "
    "sky=天空 sea=大海 moon=月亮 star=星星 earth=地球 fire=火 light=光 world=世界 time=时间 year=年 month=月 week=星期 day=天 morning=早上 "
    "evening=晚上 night=夜晚 today=今天 tomorrow=明天 yesterday=昨天 spring=春天 summer=夏天 autumn=秋天 winter=冬天 name=名字 "
    "question=问题 answer=答案 story=故事 word=词语 number=数字 language=语言 money=钱 hope=希望 dream=梦想 peace=和平 hello=你好 "
    "thank_you=谢谢 goodbye=再见 sorry=对不起 yes=是 no=不 good_morning=早上好 good_night=晚安 welcome=欢迎 please=请"
)
DICTIONARY = [pair for pairs in KINDS.values() for pair in pairs] + MORE

CAPITALS: list[tuple[str, str, str, str]] = [
    tuple(item.replace("_", " ").split("/"))  # type: ignore[misc]
    for item in [
        "China/中国/Beijing/北京",
        "Japan/日本/Tokyo/东京",
        "France/法国/Paris/巴黎",
        "Germany/德国/Berlin/柏林",
        "Italy/意大利/Rome/罗马",
        "Spain/西班牙/Madrid/马德里",
        "Portugal/葡萄牙/Lisbon/里斯本",
        "Russia/俄罗斯/Moscow/莫斯科",
        "Egypt/埃及/Cairo/开罗",
        "India/印度/New_Delhi/新德里",
        "Thailand/泰国/Bangkok/曼谷",
        "Greece/希腊/Athens/雅典",
        "Austria/奥地利/Vienna/维也纳",
        "Poland/波兰/Warsaw/华沙",
        "Sweden/瑞典/Stockholm/斯德哥尔摩",
        "Norway/挪威/Oslo/奥斯陆",
        "Finland/芬兰/Helsinki/赫尔辛基",
        "Denmark/丹麦/Copenhagen/哥本哈根",
        "Ireland/爱尔兰/Dublin/都柏林",
        "Canada/加拿大/Ottawa/渥太华",
        "Mexico/墨西哥/Mexico_City/墨西哥城",
        "Brazil/巴西/Brasilia/巴西利亚",
        "Argentina/阿根廷/Buenos_Aires/布宜诺斯艾利斯",
        "Chile/智利/Santiago/圣地亚哥",
        "Peru/秘鲁/Lima/利马",
        "Cuba/古巴/Havana/哈瓦那",
        "Kenya/肯尼亚/Nairobi/内罗毕",
        "Turkey/土耳其/Ankara/安卡拉",
        "Iran/伊朗/Tehran/德黑兰",
        "Iraq/伊拉克/Baghdad/巴格达",
        "Vietnam/越南/Hanoi/河内",
        "South_Korea/韩国/Seoul/首尔",
        "Australia/澳大利亚/Canberra/堪培拉",
        "New_Zealand/新西兰/Wellington/惠灵顿",
        "Hungary/匈牙利/Budapest/布达佩斯",
        "Belgium/比利时/Brussels/布鲁塞尔",
        "Switzerland/瑞士/Bern/伯尔尼",
        "Mongolia/蒙古/Ulaanbaatar/乌兰巴托",
        "Indonesia/印度尼西亚/Jakarta/雅加达",
        "Malaysia/马来西亚/Kuala_Lumpur/吉隆坡",
        "Nepal/尼泊尔/Kathmandu/加德满都",
        "Ukraine/乌克兰/Kyiv/基辅",
        "Romania/罗马尼亚/Bucharest/布加勒斯特",
        "Iceland/冰岛/Reykjavik/雷克雅未克",
        "England/英国/London/伦敦",
    ]
]
OPPOSITES_EN = [
    tuple(item.split("-"))
    for item in [
        "big-small",
        "hot-cold",
        "long-short",
        "high-low",
        "fast-slow",
        "happy-sad",
        "good-bad",
        "new-old",
        "young-old",
        "rich-poor",
        "strong-weak",
        "clean-dirty",
        "light-dark",
        "open-closed",
        "full-empty",
        "hard-soft",
        "wet-dry",
        "early-late",
        "near-far",
        "left-right",
        "up-down",
        "in-out",
        "day-night",
        "black-white",
        "true-false",
        "easy-difficult",
        "loud-quiet",
        "thick-thin",
        "wide-narrow",
        "heavy-light",
        "deep-shallow",
        "sweet-bitter",
        "start-end",
        "win-lose",
        "buy-sell",
        "push-pull",
        "love-hate",
        "give-take",
        "come-go",
        "laugh-cry",
        "remember-forget",
        "friend-enemy",
        "north-south",
        "east-west",
        "first-last",
        "top-bottom",
        "inside-outside",
        "always-never",
    ]
]
OPPOSITES_ZH = [
    tuple(item.split("-"))
    for item in [
        "大-小",
        "冷-热",
        "长-短",
        "高-低",
        "快-慢",
        "高兴-难过",
        "好-坏",
        "新-旧",
        "多-少",
        "强-弱",
        "干净-脏",
        "明亮-黑暗",
        "开-关",
        "满-空",
        "硬-软",
        "湿-干",
        "早-晚",
        "远-近",
        "左-右",
        "上-下",
        "里-外",
        "白天-黑夜",
        "黑-白",
        "真-假",
        "容易-困难",
        "安静-吵闹",
        "厚-薄",
        "宽-窄",
        "轻-重",
        "深-浅",
        "甜-苦",
        "开始-结束",
        "胜利-失败",
        "买-卖",
        "推-拉",
        "爱-恨",
        "来-去",
        "哭-笑",
        "记住-忘记",
        "朋友-敌人",
        "南-北",
        "东-西",
        "前-后",
        "进步-退步",
        "勇敢-胆小",
        "认真-马虎",
        "成功-失败",
        "美丽-丑陋",
        "贫穷-富有",
        "表扬-批评",
        "增加-减少",
        "先-后",
        "黑暗-光明",
        "简单-复杂",
        "寒冷-炎热",
        "勤劳-懒惰",
        "粗-细",
    ]
]
DAYS_EN = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
DAYS_ZH = ["星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"]
MONTHS_EN = "January February March April May June July August September October November December".split()
MONTHS_ZH = "一月 二月 三月 四月 五月 六月 七月 八月 九月 十月 十一月 十二月".split()
NUMBERS_EN = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
).split()
NUMBERS_ZH = "零 一 二 三 四 五 六 七 八 九 十 十一 十二 十三 十四 十五 十六 十七 十八 十九 二十".split()

FACTS_EN = [
    line.split("|")
    for line in """
What colour is the sky on a clear day?|The sky is blue on a clear day.
What colour is grass?|Grass is green.
What colour is snow?|Snow is white.
What colour is a ripe banana?|A ripe banana is yellow.
What colour is coal?|Coal is black.
What colour is blood?|Blood is red.
How many legs does a cat have?|A cat has four legs.
How many legs does a spider have?|A spider has eight legs.
How many legs does a bird have?|A bird has two legs.
How many legs does an ant have?|An ant has six legs.
How many days are in a week?|There are seven days in a week.
How many months are in a year?|There are twelve months in a year.
How many hours are in a day?|There are 24 hours in a day.
How many minutes are in an hour?|There are 60 minutes in an hour.
How many seconds are in a minute?|There are 60 seconds in a minute.
How many days are in a year?|There are 365 days in a year, and 366 in a leap year.
How many seasons are there?|There are four seasons: spring, summer, autumn and winter.
How many letters does the English alphabet have?|The English alphabet has 26 letters.
How many wheels does a bicycle have?|A bicycle has two wheels.
How many sides does a triangle have?|A triangle has three sides.
How many sides does a square have?|A square has four equal sides.
How many fingers are on one hand?|There are five fingers on one hand.
How many continents are there?|There are seven continents.
What is the largest animal?|The blue whale is the largest animal.
What is the tallest animal?|The giraffe is the tallest animal.
What is the fastest land animal?|The cheetah is the fastest land animal.
What is the largest ocean?|The Pacific is the largest ocean.
What is the highest mountain?|Mount Everest is the highest mountain on Earth.
What is the longest river in China?|The Yangtze is the longest river in China.
What is the largest planet?|Jupiter is the largest planet of our solar system.
Which planet do we live on?|We live on the planet Earth.
Which planet is closest to the sun?|Mercury is closest to the sun.
Which planet is called the red planet?|Mars is called the red planet.
What do bees make?|Bees make honey.
What do cows eat?|Cows eat grass.
What do cows give us?|Cows give us milk.
What do hens lay?|Hens lay eggs.
What do pandas eat?|Pandas eat bamboo.
What do plants need?|Plants need light, water and air.
What do fish breathe with?|Fish breathe with gills.
What sound does a dog make?|A dog barks.
What sound does a cat make?|A cat says meow.
What sound does a cow make?|A cow says moo.
What sound does a duck make?|A duck quacks.
What is ice made of?|Ice is frozen water.
What is water made of?|Water is made of hydrogen and oxygen.
What is bread made of?|Bread is made of flour, water and yeast.
What is glass made of?|Glass is made of sand.
What is paper made of?|Paper is made of wood.
What is cheese made from?|Cheese is made from milk.
What is wine made from?|Wine is made from grapes.
At what temperature does water boil?|Water boils at 100 degrees Celsius.
At what temperature does water freeze?|Water freezes at 0 degrees Celsius.
Where does the sun rise?|The sun rises in the east.
Where does the sun set?|The sun sets in the west.
Where do penguins live?|Penguins live in the south, many of them in Antarctica.
Where do camels live?|Camels live in deserts.
Where is the Great Wall?|The Great Wall is in China.
Where is the Eiffel Tower?|The Eiffel Tower is in Paris.
Which season comes after winter?|Spring comes after winter.
Which season is the coldest?|Winter is the coldest season.
Which season is the hottest?|Summer is the hottest season.
Which language do people speak in Brazil?|People in Brazil speak Portuguese.
Which language do people speak in Mexico?|People in Mexico speak Spanish.
Who wrote Hamlet?|William Shakespeare wrote Hamlet.
Who wrote Journey to the West?|Wu Cheng'en wrote Journey to the West.
Who painted the Mona Lisa?|Leonardo da Vinci painted the Mona Lisa.
Who invented the telephone?|Alexander Graham Bell invented the telephone.
Who discovered gravity?|Isaac Newton described gravity.
Who was the first person on the moon?|Neil Armstrong was the first person on the moon.
What do we use to write?|We use a pen or a pencil to write.
What do we use to cut paper?|We use scissors to cut paper.
What do we see with?|We see with our eyes.
What do we hear with?|We hear with our ears.
What do we smell with?|We smell with our nose.
What shape is a ball?|A ball is round.
What shape is the Earth?|The Earth is round like a ball.
What is the opposite of north?|The opposite of north is south.
What is the currency of Japan?|The currency of Japan is the yen.
What is the currency of China?|The currency of China is the yuan.
Is fire hot?|Yes, fire is hot.
Is ice warm?|No, ice is cold.
Can fish fly?|Most fish cannot fly; they swim.
Can birds fly?|Most birds can fly.
Can a stone swim?|No, a stone sinks in water.
Is the sun a star?|Yes, the sun is a star.
Is the moon bigger than the Earth?|No, the moon is smaller than the Earth.
Is a tomato a fruit?|In botany a tomato is a fruit; in the kitchen it is a vegetable.
Why do we sleep?|We sleep because the body and the mind need rest.
Why do people wear coats?|People wear coats to stay warm.
Why does it rain?|It rains because water in the clouds falls down.
Why do leaves look green?|Leaves look green because of chlorophyll.
What is a doctor?|A doctor is a person who treats sick people.
What is a library?|A library is a place where people read and borrow books.
What is a computer?|A computer is a machine that works with data.
What is a language model?|A language model is a program that predicts the next piece of a text.
What is fine-tuning?|Fine-tuning trains a model a little more, on your own examples.
What is a dictionary?|A dictionary is a book that explains words.
What is rain?|Rain is water that falls from the clouds.
What is a friend?|A friend is a person whom you like and trust.
What is music?|Music is sound that people arrange so that it is nice to hear.
""".strip().splitlines()
]
FACTS_ZH = [
    line.split("|")
    for line in """
晴天的天空是什么颜色？|晴天的天空是蓝色的。
草是什么颜色的？|草是绿色的。
雪是什么颜色的？|雪是白色的。
成熟的香蕉是什么颜色？|成熟的香蕉是黄色的。
煤是什么颜色的？|煤是黑色的。
血是什么颜色的？|血是红色的。
猫有几条腿？|猫有四条腿。
蜘蛛有几条腿？|蜘蛛有八条腿。
鸟有几条腿？|鸟有两条腿。
蚂蚁有几条腿？|蚂蚁有六条腿。
一个星期有几天？|一个星期有七天。
一年有几个月？|一年有十二个月。
一天有多少小时？|一天有24小时。
一小时有多少分钟？|一小时有60分钟。
一分钟有多少秒？|一分钟有60秒。
一年有多少天？|平年有365天，闰年有366天。
一年有几个季节？|一年有四个季节：春、夏、秋、冬。
英语有多少个字母？|英语有26个字母。
自行车有几个轮子？|自行车有两个轮子。
三角形有几条边？|三角形有三条边。
正方形有几条边？|正方形有四条相等的边。
一只手有几个手指？|一只手有五个手指。
世界上有几个大洲？|世界上有七个大洲。
最大的动物是什么？|最大的动物是蓝鲸。
最高的动物是什么？|最高的动物是长颈鹿。
跑得最快的动物是什么？|跑得最快的动物是猎豹。
最大的海洋是哪个？|最大的海洋是太平洋。
世界最高的山是什么山？|世界最高的山是珠穆朗玛峰。
中国最长的河是哪条？|中国最长的河是长江。
太阳系最大的行星是哪个？|太阳系最大的行星是木星。
我们生活在哪个星球？|我们生活在地球上。
离太阳最近的行星是哪个？|离太阳最近的行星是水星。
哪个行星叫红色星球？|火星叫红色星球。
蜜蜂会做什么？|蜜蜂会采蜜。
牛吃什么？|牛吃草。
奶牛给我们什么？|奶牛给我们牛奶。
母鸡会下什么？|母鸡会下蛋。
熊猫吃什么？|熊猫吃竹子。
植物需要什么？|植物需要阳光、水和空气。
鱼用什么呼吸？|鱼用鳃呼吸。
狗怎么叫？|狗的叫声是汪汪。
猫怎么叫？|猫的叫声是喵喵。
羊怎么叫？|羊的叫声是咩咩。
鸭子怎么叫？|鸭子的叫声是嘎嘎。
冰是由什么变成的？|冰是由水变成的。
水由什么组成？|水由氢和氧组成。
面包是用什么做的？|面包是用面粉做的。
玻璃是用什么做的？|玻璃是用沙子做的。
纸是用什么做的？|纸是用木材做的。
豆腐是用什么做的？|豆腐是用大豆做的。
葡萄酒是用什么做的？|葡萄酒是用葡萄做的。
水在多少度沸腾？|水在100摄氏度沸腾。
水在多少度结冰？|水在0摄氏度结冰。
太阳从哪边升起？|太阳从东边升起。
太阳从哪边落下？|太阳从西边落下。
企鹅住在哪里？|企鹅住在南方，很多住在南极。
骆驼住在哪里？|骆驼住在沙漠里。
长城在哪个国家？|长城在中国。
埃菲尔铁塔在哪里？|埃菲尔铁塔在巴黎。
冬天之后是什么季节？|冬天之后是春天。
最冷的季节是什么？|最冷的季节是冬天。
最热的季节是什么？|最热的季节是夏天。
巴西人说什么语言？|巴西人说葡萄牙语。
墨西哥人说什么语言？|墨西哥人说西班牙语。
《西游记》的作者是谁？|《西游记》的作者是吴承恩。
《红楼梦》的作者是谁？|《红楼梦》的作者是曹雪芹。
《三国演义》的作者是谁？|《三国演义》的作者是罗贯中。
《水浒传》的作者是谁？|《水浒传》的作者是施耐庵。
《蒙娜丽莎》是谁画的？|《蒙娜丽莎》是达芬奇画的。
谁发明了电话？|贝尔发明了电话。
谁发明了造纸术？|蔡伦改进了造纸术。
谁第一个登上月球？|阿姆斯特朗第一个登上月球。
我们用什么写字？|我们用笔写字。
我们用什么剪纸？|我们用剪刀剪纸。
我们用什么看东西？|我们用眼睛看东西。
我们用什么听声音？|我们用耳朵听声音。
我们用什么闻味道？|我们用鼻子闻味道。
球是什么形状的？|球是圆形的。
地球是什么形状的？|地球像一个圆球。
日本的货币是什么？|日本的货币是日元。
中国的货币是什么？|中国的货币是人民币。
中国的国旗是什么颜色？|中国的国旗是红色的。
火是热的吗？|是的，火是热的。
冰是热的吗？|不，冰是冷的。
鱼会飞吗？|大多数鱼不会飞，它们会游泳。
鸟会飞吗？|大多数鸟会飞。
太阳是恒星吗？|是的，太阳是恒星。
月亮比地球大吗？|不，月亮比地球小。
为什么要睡觉？|因为身体和大脑需要休息。
人为什么穿外套？|人穿外套是为了保暖。
为什么会下雨？|因为云里的水落了下来。
树叶为什么是绿色的？|因为树叶里有叶绿素。
端午节吃什么？|端午节吃粽子。
中秋节吃什么？|中秋节吃月饼。
春节的时候人们做什么？|春节的时候人们回家团圆、吃饺子、放鞭炮。
什么是医生？|医生是给人治病的人。
什么是图书馆？|图书馆是看书和借书的地方。
什么是电脑？|电脑是处理数据的机器。
什么是语言模型？|语言模型是预测下一段文字的程序。
什么是微调？|微调就是用自己的例子再训练一下模型。
什么是词典？|词典是解释词语的书。
什么是雨？|雨是从云里落下来的水。
什么是朋友？|朋友是你喜欢并且信任的人。
什么是音乐？|音乐是人们编排的好听的声音。
""".strip().splitlines()
]
